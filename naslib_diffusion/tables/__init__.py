"""Tables of measured architectures to search on: benchmarks and users' own files."""

from naslib_diffusion.tables.benchmarks import benchmark, benchmark_names
from naslib_diffusion.tables.columns import Missing, column_names, load_archs, load_table
from naslib_diffusion.tables.equality import with_equality
from naslib_diffusion.tables.pickles import UnsafePickleError, load_pickle, read_pickle
from naslib_diffusion.tables.table import Direction, Table, TableError

__all__ = [
    "Direction",
    "Missing",
    "Table",
    "TableError",
    "UnsafePickleError",
    "benchmark",
    "benchmark_names",
    "column_names",
    "load_archs",
    "load_pickle",
    "load_table",
    "read_pickle",
    "with_equality",
]
