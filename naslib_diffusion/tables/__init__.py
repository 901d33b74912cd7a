"""Tables of measured architectures to search on: benchmarks and users' own files."""

from naslib_diffusion.tables.benchmarks import benchmark, benchmark_names
from naslib_diffusion.tables.csv_file import load_csv
from naslib_diffusion.tables.equality import with_equality
from naslib_diffusion.tables.pickles import UnsafePickleError, load_pickle, read_pickle
from naslib_diffusion.tables.table import Direction, Table, TableError

__all__ = [
    "Direction",
    "Table",
    "TableError",
    "UnsafePickleError",
    "benchmark",
    "benchmark_names",
    "load_csv",
    "load_pickle",
    "read_pickle",
    "with_equality",
]
