"""DiffusionNAG: guided diffusion over neural architectures."""
