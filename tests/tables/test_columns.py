"""Users' tables: what is read, and what each mistake says."""

import gc
import gzip
from pathlib import Path

import pytest

from naslib_diffusion.spaces import NASBench201, ProductSpace, Subset
from naslib_diffusion.tables import TableError, load_table

SPACE = NASBench201()
A = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"
B = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_rows_in_order_and_ignores_other_columns(tmp_path):
    path = write(tmp_path, f"note,arch,acc\nx y,{A},1.5\n,{B},-2\n\n")
    table = load_table(path, SPACE, "acc")
    assert [str(arch) for arch in table.archs] == [A, B]
    assert table.values.tolist() == [1.5, -2]
    assert (table.objective, table.direction, table.optimum) == ("acc", "maximize", 1.5)
    assert isinstance(table.space, Subset)
    assert not table.complete


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.anything"])
def test_gzip_is_recognised_by_content_and_a_byte_order_mark_is_skipped(tmp_path, name):
    text = b"\xef\xbb\xbf" + f"arch,acc\r\n{A},3\r\n".encode()
    path = write(tmp_path, gzip.compress(text) if "csv" not in name[-3:] else text, name)
    assert load_table(path, SPACE).values.tolist() == [3]


def test_the_only_other_column_is_the_objective_unless_told(tmp_path):
    assert load_table(write(tmp_path, f"arch,acc\n{A},3\n"), SPACE).objective == "acc"
    with pytest.raises(TableError, match=r"choose an objective among .*: acc, loss"):
        load_table(write(tmp_path, f"arch,acc,loss\n{A},3,1\n"), SPACE)


def test_archs_with_commas_and_quotes(tmp_path):
    space = ProductSpace.categorical([2, 3])
    rows = [f'"[{i}, {j}]",{i + j}' for i in range(2) for j in range(3)]
    table = load_table(write(tmp_path, "arch,sum\n" + "\n".join(rows)), space, "sum", "minimize")
    assert table.complete
    assert table.space is space
    assert table.optimum == 0
    assert table[space.parse("[1, 2]")] == 3


BAD = {
    "is empty": "",
    "is empty: it has no rows": "arch,acc\n",
    "has no column 'arch'; it has: cell, acc; --arch-column names": f"cell,acc\n{A},1\n",
    "has no column of values": f"arch\n{A}\n",
    "objective 'acc' is not a column of .*; it has: top1, loss": f"arch,top1,loss\n{A},1,2\n",
    "2 columns called 'acc'": f"arch,acc,acc\n{A},1,2\n",
    "line 3: 'nonsense' is not": f"arch,acc\n{A},1\nnonsense,2\n",
    "line 4: 'nonsense' is not": "# note\narch,acc\n\nnonsense,2\n",
    "line 2: unknown operation 'conv'": f"arch,acc\n{A.replace('nor_conv_3x3', 'conv')},1\n",
    "line 3: acc is 'high', which is not a number": f"arch,acc\n{A},1\n{B},high\n",
    "line 2: acc is '1_0', which is not a number": f"arch,acc\n{A},1_0\n",
    "line 2: acc is 1e301; it must be": f"arch,acc\n{A},1e301\n",
    "line 3: acc is '50%'; all of it in percent, or nothing": f"arch,acc\n{A},0.5\n{B},50%\n",
    "line 2: acc is '1,5'; a decimal comma needs ;": f'arch,acc\n{A},"1,5"\n',
    "line 3: acc is '1,500', where others have a '.'": f"arch;acc\n{A};1.5\n{B};1,500\n",
    "line 2: 1 fields for 2 columns": f"arch,acc\n{A}\n",
    "line 2: 3 fields for 2 columns": f"arch,acc\n{A},1,5\n",
    "no finite value of acc": f"arch,acc\n{A},\n{B},nan\n",
    "has no column 'arch'": b"\x89PNG\r\n\x1a\n\xff\xfe,arch\n",
    "Compressed file ended": gzip.compress(f"arch,acc\n{A},1\n".encode())[:-9],
    "field larger than field limit": "arch,acc\n" + "x" * 200_000 + ",1\n",
    "more than 1,048,576 characters": "arch,acc\n" + "1," * 600_000,
    "record 1 is not JSON": '{"arch": ',
    "record 2 is no JSON object": f'[{{"arch": "{A}", "acc": 1}}, 2]',
    "record 1: acc is \\[1\\], which": f'{{"arch": "{A}", "acc": [1]}}',
}


@pytest.mark.parametrize("message", BAD)
def test_each_mistake_says_what_is_wrong_and_where(tmp_path, message):
    with pytest.raises(TableError, match=message) as caught:
        load_table(write(tmp_path, BAD[message]), SPACE, "acc")
    assert "table.csv" in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(TableError, match=r"cannot read table .*nope: No such file"):
        load_table(tmp_path / "nope", SPACE, "acc")
    with pytest.raises(TableError, match=r"cannot read table .*: Is a directory"):
        load_table(tmp_path, SPACE, "acc")
    with pytest.raises(TableError, match="direction must be"):
        load_table(write(tmp_path, f"arch,acc\n{A},1\n"), SPACE, "acc", "up")


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_zipped_files_are_closed(tmp_path, recwarn):
    path = write(tmp_path, gzip.compress(f"arch,acc\n{A},1\n".encode()), "table.csv.gz")
    load_table(path, SPACE, "acc")
    gc.collect()
    assert not [w for w in recwarn if issubclass(w.category, ResourceWarning)]
