"""The audit over HTTP: who did what, page by page or as a whole."""
