"""Webhooks: who is told what, and the log of what was sent."""
