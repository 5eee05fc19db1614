"""Webhooks: the requests about them, their values, and how a receiver verifies a message."""
