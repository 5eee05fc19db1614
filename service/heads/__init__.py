"""Heads: versions, aliases, comparisons, drift."""
