"""Every method on the same tables, seeds and random start."""
