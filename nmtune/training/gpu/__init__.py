"""Many small heads trained at once on a GPU: stacked, in CUDA graphs."""
