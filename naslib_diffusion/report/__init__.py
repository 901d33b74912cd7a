"""The report of a run, of a search or of a measurement: one self-contained HTML page."""

from naslib_diffusion.report.bench import render_bench
from naslib_diffusion.report.page import render_report
from naslib_diffusion.report.searches import write_report

__all__ = ["render_bench", "render_report", "write_report"]
