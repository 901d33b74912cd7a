"""The report of a run: one self-contained HTML page."""

from naslib_diffusion.report.page import render_report

__all__ = ["render_report"]
