"""Predictions: from a request's bytes to its answer, with heads loaded once and rows batched."""
