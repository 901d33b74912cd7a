"""Whatever is told, searches ask for what is valid and new, and leave the caller's state alone."""

from __future__ import annotations

import pytest
from hypothesis import settings
from naslib_diffusion.benchmarks.engine.numerics import ANY, follow_search

from naslib_diffusion import Search
from naslib_diffusion.spaces import ProductSpace, Real

test_any_history_is_followed_by_something_valid_and_new = settings(max_examples=12)(
    ANY[follow_search](follow_search)
)


@pytest.mark.parametrize("bad", ["good", "nan?", None, [1.0, 2.0], object()])
def test_what_is_no_number_is_refused_before_it_is_recorded(bad):
    search = Search(ProductSpace([Real(0, 1)]), seed=0, initial=1)
    arch = search.ask()
    with pytest.raises((TypeError, ValueError)):
        search.tell(arch, [bad])
    assert search.trials == []
    search.tell(arch, [1.0])


def test_an_interrupted_ask_and_tell_can_be_repeated(monkeypatch):
    search, twin = (Search(ProductSpace([Real(0, 1)] * 2), seed=0, initial=2) for _ in range(2))
    for one in (search, twin):
        for value in range(3):
            one.tell(one.ask(), [float(value)])

    def interrupt(*_, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("naslib_diffusion.surrogates.ObjectiveScale.of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            search.ask()
    assert search.ask() == twin.ask()
