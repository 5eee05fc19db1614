"""The plumbing of the science: statistics, decompositions, tensor files, threads, randomness."""
