"""Predictions: options, batches of rows, and what comes back."""
