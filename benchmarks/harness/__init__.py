"""What the measurements share: tables, processes, results, curves."""
