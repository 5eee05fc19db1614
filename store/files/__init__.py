"""The formats of stored files: datasets, rows without labels, texts, and what rows are called."""
