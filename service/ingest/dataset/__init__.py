"""From decoded rows to one prepared dataset file: splits, profile, warnings."""
