"""Predictions of a whole dataset, as jobs that leave a file."""
