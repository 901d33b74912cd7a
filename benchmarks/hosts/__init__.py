"""Measurements inside the hosts, beside their own methods: Optuna, BoTorch, NASLib."""
