"""Adapters from host libraries to the search."""
