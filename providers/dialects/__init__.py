"""The dialects: one small file for each kind of service."""
