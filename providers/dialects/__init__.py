"""The home of the dialects: one small file for each kind of service."""
