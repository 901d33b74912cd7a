"""Whatever a study holds, proposals are within, new, and leave the caller's state alone."""

from hypothesis import settings
from naslib_diffusion.benchmarks.engine.numerics import ANY, follow_sampler

test_any_study_is_followed_by_a_proposal_within_and_new = settings(max_examples=12)(
    ANY[follow_sampler](follow_sampler)
)
