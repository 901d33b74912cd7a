"""The page."""

from naslib_diffusion.runs import Results


def render_report(results: Results, folder: str) -> str:
    """Return the page."""
    return folder
