"""The `nmtune` command: data on stdout, progress and errors on stderr, its outcome as exit code."""
