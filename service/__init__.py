"""The HTTP door: requests in, rows written, predictions and problems out."""
