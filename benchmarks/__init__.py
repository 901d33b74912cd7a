"""Measurements behind the project's figures; run one with `naslib-diffusion bench NAME`."""
