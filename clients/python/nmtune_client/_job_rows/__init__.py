"""The rows behind a job's numbers, and its map."""
