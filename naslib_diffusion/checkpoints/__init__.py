"""Trained networks that ship with the package, and a card for each: how it was made."""
