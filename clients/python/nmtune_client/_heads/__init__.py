"""Heads: versions, aliases, comparisons, drift, and exported bundles."""
