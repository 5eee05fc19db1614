"""Encoders that can be opened: their forward pass in torch, and low-rank adapters on it."""
