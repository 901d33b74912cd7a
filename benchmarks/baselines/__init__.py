"""Methods to compare with, each after its own paper, and ours, behind one ask/tell interface."""
