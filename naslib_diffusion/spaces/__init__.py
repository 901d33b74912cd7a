"""Search spaces: what an architecture is, and how it becomes a tensor and back."""

from naslib_diffusion.spaces.base import AtomBlock, Block, Space, UniformBlock
from naslib_diffusion.spaces.nasbench201 import NASBench201

__all__ = ["AtomBlock", "Block", "NASBench201", "Space", "UniformBlock"]
