"""Measurements of the engine itself: search, generation, networks, time."""
