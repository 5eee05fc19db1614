"""Resumable uploads (tus 1.0): routes, shapes, and the parts on disk."""
