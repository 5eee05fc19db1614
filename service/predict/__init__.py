"""Predictions: from a request's bytes to its answer, heads loaded once, rows batched."""
