"""The searches of `bench transfer`."""

from __future__ import annotations

from naslib_diffusion.benchmarks.priors import transfer


def test_gaps_fall_and_end_once_close(monkeypatch):
    monkeypatch.setattr(transfer, "CLOSE", 5.0)
    gaps = transfer.graph_gaps("cora", informed=False, seed=0, budget=30)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] <= 5.0 < min(gaps[:-1])


def test_rows_count_from_the_gaps(monkeypatch):
    found = {True: [3.0, 0.4], False: [4.0, 4.0, 1.0]}
    monkeypatch.setattr(
        transfer, "graph_gaps", lambda graph, informed, seed, budget: found[informed]
    )
    informed, blank = transfer.graph_rows(["cora"], seeds=2, budget=5, processes=1)
    assert (informed["mean"], informed["missed"], informed["gap after 5"]) == (2.0, 0, 0.4)
    assert (blank["mean"], blank["missed"], blank["gap after 5"]) == (6.0, 2, 1.0)
    assert informed["ratio of means"] == 2.0 / 6.0
