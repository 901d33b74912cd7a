"""Diffusion over encoded architectures: noise schedules, denoisers, guidance and samplers."""

from naslib_diffusion.diffusion.config import NetworkConfig, TrainConfig
from naslib_diffusion.diffusion.decoded import guide_on
from naslib_diffusion.diffusion.exact import Denoiser, ExactDenoiser, score
from naslib_diffusion.diffusion.guidance import (
    EstimateGuidance,
    Guide,
    NoisyGuidance,
    TiltGuidance,
)
from naslib_diffusion.diffusion.network import ScoreNetwork
from naslib_diffusion.diffusion.resampling import sample_twisted
from naslib_diffusion.diffusion.samplers import (
    Sampler,
    Step,
    sample_ancestral,
    sample_dpmpp_2m,
    sample_euler,
    sample_heun,
    sample_predictor_corrector,
)
from naslib_diffusion.diffusion.schedules import VESDE, VPSDE, geometric_sigmas, karras_sigmas
from naslib_diffusion.diffusion.training import train

__all__ = [
    "VESDE",
    "VPSDE",
    "Denoiser",
    "EstimateGuidance",
    "ExactDenoiser",
    "Guide",
    "NetworkConfig",
    "NoisyGuidance",
    "Sampler",
    "ScoreNetwork",
    "Step",
    "TiltGuidance",
    "TrainConfig",
    "geometric_sigmas",
    "guide_on",
    "karras_sigmas",
    "sample_ancestral",
    "sample_dpmpp_2m",
    "sample_euler",
    "sample_heun",
    "sample_predictor_corrector",
    "sample_twisted",
    "score",
    "train",
]
