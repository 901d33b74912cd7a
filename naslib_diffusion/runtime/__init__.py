"""What every layer stands on: threads and files."""
