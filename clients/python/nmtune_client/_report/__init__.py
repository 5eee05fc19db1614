"""Reports of finished jobs: their values, and their text."""
