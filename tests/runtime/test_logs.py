"""Files that survive kills, full disks and rivals."""

import errno
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_diffusion.runtime.files import read_json, write_atomically
from naslib_diffusion.runtime.locks import Busy, claimed
from naslib_diffusion.runtime.logs import RowLog, read_rows

HEAD = [["settings, quoted"], ["name", "value"]]
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
ROWS = st.lists(st.tuples(TEXT, st.floats().map(repr)).map(list), max_size=4)


@given(rows=ROWS, more=ROWS, cut=st.integers(0, 60))
def test_what_was_cut_off_is_lost_and_nothing_else(tmp_path_factory, rows, more, cut):
    path = tmp_path_factory.mktemp("log") / "rows.csv"
    with RowLog(path, HEAD) as log:
        ends = []
        for row in rows:
            log.append(row)
            ends.append(path.stat().st_size)
    left = max(path.stat().st_size - cut, 0)
    os.truncate(path, left)
    whole = [row for row, end in zip(rows, ends, strict=True) if end <= left]
    assert read_rows(path, HEAD) == whole
    with RowLog(path, HEAD) as log:
        assert log.rows == whole
        for row in more:
            log.append(row)
    assert read_rows(path, HEAD) == [*whole, *more]


def test_rows_that_belong_together_are_kept_together(tmp_path):
    path = tmp_path / "rows.csv"
    with RowLog(path, HEAD, group=2) as log:
        log.append(["a", "1"], ["b", "2"])
        log.append(["c", "3"], ["d", "4"])
    os.truncate(path, path.stat().st_size - 1)
    with RowLog(path, HEAD, group=2) as log:
        assert log.rows == [["a", "1"], ["b", "2"]]
        log.append(["e", "5"], ["f", "6"])
    assert read_rows(path, HEAD) == [["a", "1"], ["b", "2"], ["e", "5"], ["f", "6"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("other\n1,2\n", "does not start with"),
        ('"settings, quoted"\nname,value\na\nb,1\n', "record 3 has 1 fields for 2"),
        ('"settings, quoted"\nname,value\n' + "x" * 200_000 + ",1\n", "field larger than"),
    ],
)
def test_other_files_are_left_as_they_are(tmp_path, content, message):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as refused:
        RowLog(path, HEAD)
    assert str(path) in str(refused.value)
    assert path.read_text() == content


def test_a_sparse_log_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.touch()
    os.truncate(path, 2**33)
    with pytest.raises(ValueError, match=r"rows\.csv has more than"):
        read_rows(path, HEAD)


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, "\0" * 2_000_000])
def test_json_that_is_no_object_is_one_line(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"a\.json") as refused:
        read_json(path)
    assert len(str(refused.value).splitlines()) == 1


def test_written_files_have_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", "text \udcff")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert (tmp_path / "a").read_bytes() == b"text \\udcff"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a") as refused:
        write_atomically(tmp_path / "a", b"")
    assert refused.value.errno in (errno.EISDIR, errno.ENOTEMPTY)
    assert refused.value.filename == str(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]


CLAIM = (
    "import sys; from naslib_diffusion.runtime.locks import claimed; from pathlib import Path\n"
)
HOLD = CLAIM + "with claimed(Path(sys.argv[1])): print(flush=True); input()"


@pytest.mark.parametrize("name", ["", "file[1].csv"])
def test_a_claim_ends_with_its_process_and_rubbish_goes(tmp_path, environment, name):
    target = tmp_path / name if name else tmp_path
    part = tmp_path / f".{name}.12ab.part"
    part.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, target],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
    )  # fmt: skip
    process.stdout.readline()
    try:
        assert not part.exists()
        with pytest.raises(Busy, match="another process is writing"), claimed(target):
            pass
    finally:
        process.kill()
        process.communicate()
    with claimed(target):
        pass
