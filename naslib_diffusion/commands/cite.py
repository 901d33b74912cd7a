"""`naslib-diffusion cite`."""

from __future__ import annotations

import click

from naslib_diffusion import __version__

BIBTEX = """\
@software{{naslib_diffusion,
  title   = {{naslib-diffusion: guided diffusion over neural architectures}},
  author  = {{{{The naslib-diffusion contributors}}}},
  version = {{{version}}},
}}

@inproceedings{{an2024diffusionnag,
  title = {{DiffusionNAG: Predictor-guided Neural Architecture Generation with Diffusion Models}},
  author    = {{An, Sohyun and Lee, Hayeon and Jo, Jaehyeong and Lee, Seanie and Hwang, Sung Ju}},
  booktitle = {{International Conference on Learning Representations}},
  year      = {{2024}},
  url       = {{https://arxiv.org/abs/2305.16943}},
}}"""


@click.command()
def cite() -> None:
    """Print BibTeX for this software and for the method that it builds on.

    \b
    Example:
      naslib-diffusion cite >> references.bib
    """
    click.echo(BIBTEX.format(version=__version__))
