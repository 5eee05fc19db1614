"""Encoders that run in the server: what is sent of a model, and what the server says of it."""
