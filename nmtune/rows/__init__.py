"""Rows of embeddings and labels: checked, read from what people hold them in, and divided."""
