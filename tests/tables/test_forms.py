"""Tables as other people write them: each form gives the same table, and none a traceback."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from naslib_diffusion.spaces import MobileNetV3, NASBench201
from naslib_diffusion.tables import TableError, load_archs, load_table

SPACE = NASBench201()
A = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
C = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
PLAIN = f"arch,acc\n{A},93.1\n{C},88.2\n"


def zipped(text: str, *others: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("table.csv", "__MACOSX/._table.csv", *others):
            archive.writestr(name, text)
    return buffer.getvalue()


RECORDS = [{"arch": A, "acc": 93.1}, {"arch": C, "acc": "88.2", "note": "second"}]
FORMS = {
    "usual names": f"id,ArchitectureString,acc\n1,{A},93.1\n2,{C},88.2\n".encode(),
    "names in any case": f"Arch_Str,acc\n{A},93.1\n{C},88.2\n".encode(),
    "semicolon": f"arch;acc\n{A};93,1\n{C};88,2\n".encode(),
    "tab": f"arch\tacc\n{A}\t93.1\n{C}\t88.2\n".encode(),
    "told by Excel": f"sep=|\narch|acc\n{json.dumps(A)}|93.1\n{json.dumps(C)}|88.2\n".encode(),
    "comments": f"# run 3\n\narch,acc\n#, a note\n{A},93.1\n{C},88.2\n,\n".encode(),
    "percent": f"arch,acc\n{A},93.1%\n{C},88.2 %\n".encode(),
    "index of pandas": f",arch,acc\n0,{A},93.1\n1,{C},88.2\n".encode(),
    "CRLF and a mark": b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "Latin-1": f"arch,acc,où\n{A},93.1,é\n{C},88.2,è\n".encode("latin1"),
    "lines of blanks": PLAIN.replace("\n", "\n \t\n").encode() + b"  \n",
    "gzip": gzip.compress(PLAIN.encode()),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "zip": zipped(PLAIN),
    "JSON lines": "\n".join(map(json.dumps, RECORDS)).encode(),
    "JSON records": json.dumps(RECORDS, indent=2).encode(),
    "tuples": b'arch,acc\n"(2, 2, 4, 0, 2, 0)",93.1\n"[1,1,0,1,1,1]",88.2\n',
    "digits": f"arch,acc\n334131,93.1\n{''.join('000100')},88.2\n".encode(),
    "lists in JSON": b'{"arch": [2, 2, 4, 0, 2, 0], "acc": 93.1}'
    b'{"arch": [1,1,0,1,1,1], "acc": 88.2}',
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_table(tmp_path, form):
    path = tmp_path / "table"
    path.write_bytes(FORMS[form])
    table = load_table(path, SPACE, "acc")
    assert table.values.tolist() == [93.1, 88.2]
    if "(" not in form and form not in ("tuples", "digits", "lists in JSON"):
        assert list(map(str, table.archs)) == [A, C]
    assert load_archs(path, SPACE) == list(table.archs)


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    pd.DataFrame(RECORDS[:1]).to_parquet(tmp_path / "t.parquet")
    assert load_table(tmp_path / "t.parquet", SPACE, "acc").values.tolist() == [93.1]
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(TableError, match=r"cannot read table .*t\.parquet"):
        load_table(tmp_path / "t.parquet", SPACE, "acc")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t").write_bytes(b"PAR1")
    with pytest.raises(TableError, match="needs pyarrow: pip install pyarrow"):
        load_table(tmp_path / "t", SPACE, "acc")


def test_a_column_of_architectures_can_be_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"arch,cell,acc\nmine,{A},1\nother,{C},2\n")
    assert load_table(path, SPACE, "acc", arch_column="cell").archs[0] == SPACE.parse(A)
    with pytest.raises(TableError, match="no column 'nope'"):
        load_table(path, SPACE, "acc", arch_column="nope")


def test_once_for_all_in_three_columns_or_one(tmp_path):
    space, path = MobileNetV3(), tmp_path / "t"
    arch = space.sample(1)[0]
    lists = arch.to_ofa()
    columns = (" ".join(map(str, lists[key])) for key in ("ks", "e", "d"))
    path.write_text("kernel_sizes,expand_ratios,depths,top1\n" + ",".join(columns) + ",75\n")
    assert load_table(path, space, "top1").archs == (arch,)
    path.write_text(json.dumps({"arch": lists, "top1": 75}))
    assert load_table(path, space, "top1").archs == (arch,)
    path.write_text(json.dumps({**lists, "top1": 75}))
    assert load_table(path, space, "top1").archs == (arch,)
    path.write_text('{"arch": {"ks": [3], "e": [3], "d": [2]}, "top1": 75}')
    with pytest.raises(TableError, match=r"record 1: .*ks has 1 values; expected 20"):
        load_table(path, space, "top1")


def test_numbers_of_the_benchmark_are_its_own():
    """The three that `generate_meta_info` of AutoDL-Projects asserts."""
    known = {
        0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
        "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
        123: "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|"
        "+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    }
    for number, text in known.items():
        assert str(SPACE.parse(str(number))) == text
    assert len({SPACE.parse(str(number)) for number in range(15625)}) == 15625
    with pytest.raises(ValueError, match="a number below 15625"):
        SPACE.parse("15625")


def test_rows_of_one_architecture_are_measurements(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"arch,acc\n{A},93.1\n{C},\n{A},93.3\n{A},nan\n")
    table = load_table(path, SPACE, "acc")
    assert table[SPACE.parse(A)] == pytest.approx(93.2)
    assert table.noise == pytest.approx(0.02**0.5)
    assert table.repeats == ((93.1, 93.3), ())
    assert (len(table), table.failures) == (2, 1)
    assert table.remarks().startswith("2 measurements of 2 architectures, a single one deviates")
    failed = SPACE.parse(C)
    assert table[failed] == table.values.min()
    assert table.outcome(failed) != table.outcome(failed)  # NaN
    assert table.draw(failed, "0") != table.draw(failed, "0")
    left = load_table(path, SPACE, "acc", missing="skip")
    assert (len(left), left.failures, failed in left) == (1, 0, False)


def test_failures_are_the_worst_when_small_values_are_good(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"arch,loss\n{A},1\n{C},inf\n0,5\n")
    table = load_table(path, SPACE, "loss", "minimize")
    assert table.values.tolist() == [1, 5, 5]


def test_a_zip_of_two_files_is_refused(tmp_path):
    (tmp_path / "t").write_bytes(zipped(PLAIN, "b.csv"))
    with pytest.raises(TableError, match="holds one file, this one 2"):
        load_table(tmp_path / "t", SPACE)


def test_a_column_can_have_the_name_that_an_old_spreadsheet_wrote(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(f"arch;précision (€)\n{A};93,1\n{C};88,2\n".encode("cp1252"))
    assert load_table(path, SPACE, "précision (€)").values.tolist() == [93.1, 88.2]


@pytest.mark.parametrize("mark", ["#N/A", "<NA>", "--", "\u2013", "\u2014", "?", "n.a."])
def test_what_people_write_where_there_is_no_value(tmp_path, mark):
    path = tmp_path / "t.csv"
    path.write_text(f"arch,acc\n{A},93.1\n{C},{mark}\n")
    assert load_table(path, SPACE, "acc").failures == 1


@pytest.mark.parametrize("number", ["1,234,567", "1.234.567,5", "1 234 567", "1'234"])
def test_thousands_are_told_how_to_be_written(tmp_path, number):
    path = tmp_path / "t.csv"
    path.write_text(f'arch;params\n{A};"{number}"\n{C};5\n')
    with pytest.raises(TableError, match="write thousands without a mark"):
        load_table(path, SPACE, "params")


@pytest.mark.parametrize("start", [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", None])
def test_a_workbook_is_called_one(tmp_path, start):
    path, book = tmp_path / "t.xlsx", io.BytesIO()
    with zipfile.ZipFile(book, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    path.write_bytes(start * 100 if start else book.getvalue())
    with pytest.raises(TableError, match="Excel workbook; save its sheet as CSV"):
        load_table(path, SPACE)


BOMBS = {
    "no line end": gzip.compress(b"0" * 10**8, 9) * 8,
    "one record": bz2.compress(b'{"arch": "' + b"a" * 10**7) * 40,
    "empty objects": gzip.compress(b'{"arch":' + b"[" * 10**7),
    "many columns": gzip.compress(b"," * 10**7),
    "empty lines": gzip.compress(b"arch,acc\n" + b"\n" * 10**8) * 9,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_cannot_fill_memory(tmp_path, bomb):
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[bomb])
    script = (
        "import sys, resource; from naslib_diffusion.tables import *;"
        "from naslib_diffusion.spaces import NASBench201\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "imports = peak()\n"
        "try: load_table(sys.argv[1], NASBench201(), 'acc')\n"
        "except TableError as error: print(str(error).count(chr(10)), len(str(error)) < 600)\n"
        "print(peak() - imports)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    newlines, short, added = done.stdout.split()
    assert (newlines, short) == ("0", "True"), done.stderr
    assert int(added) < 700, "MB beside the imports, which are large where PyTorch is for CUDA"


def mutate(content: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for start, length, new in cuts:
        at = start % (len(content) + 1)
        content = content[:at] + new + content[at + length :]
    return content


@given(
    form=st.sampled_from(sorted(FORMS)),
    cuts=st.lists(
        st.tuples(
            st.integers(0, 2**16),
            st.integers(0, 9),
            st.one_of(
                st.binary(max_size=8), st.sampled_from([b'"', b"\n", b",", b"{", b"\0", b"e9"])
            ),
        ),
        max_size=4,
    ),
)
@example(form="semicolon", cuts=[(0, 99, b"\xff\xfe")])
@settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_whatever_a_file_holds_there_is_a_table_or_one_line(tmp_path: Path, form, cuts):
    path = tmp_path / "fuzzed"
    path.write_bytes(mutate(FORMS[form], cuts))
    for objective in ("acc", None):
        message = ""
        try:
            load_table(path, SPACE, objective)
        except TableError as error:
            message = str(error)
        assert "\n" not in message
        assert not message or "fuzzed" in message
