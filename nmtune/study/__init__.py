"""Look at results and data: metrics, spectra, label errors, near duplicates, learning curves."""
