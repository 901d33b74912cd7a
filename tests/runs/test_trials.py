"""The log of a run survives full disks and kills in the middle of a line."""

import errno
import resource
from contextlib import contextmanager

import pytest

from naslib_diffusion.runs import Evaluation, TrialLog, read_trials

FIRST, SECOND, THIRD = (Evaluation(0, step, f"cell {step}", 90.5 + step) for step in (1, 2, 3))


@contextmanager
def largest_file(size):
    """Let files grow to `size` only: a write across it is cut short, the next one refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_was_cut_short_is_an_error_and_taken_back(tmp_path):
    path = tmp_path / "trials.csv"
    with TrialLog(path) as log:
        log.append(FIRST)
        whole = path.read_bytes()
        with largest_file(len(whole) + 5), pytest.raises(OSError, match=r"trials\.csv") as refused:
            log.append(SECOND)
        assert refused.value.errno == errno.EFBIG
        assert path.read_bytes() == whole
        log.append(THIRD)  # there is space again
    assert read_trials(path) == [FIRST, THIRD]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_whatever_was_cut_off_the_log_goes_on(tmp_path, cut):
    path = tmp_path / "trials.csv"
    with TrialLog(path) as log:
        log.append(FIRST)
        log.append(SECOND)
    path.write_bytes(path.read_bytes()[:-cut])
    kept = read_trials(path)
    assert kept == [FIRST, SECOND][: len(kept)]
    with TrialLog(path) as log:
        log.append(THIRD)
    assert read_trials(path) == [*kept, THIRD]


def test_there_may_be_nothing_to_mend(tmp_path):
    path = tmp_path / "trials.csv"
    assert read_trials(path) == []
    with TrialLog(path):
        assert path.read_bytes() == b"seed,step,arch,value\n"
