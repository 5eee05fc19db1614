"""Connections and the HTTP/1.1 that comes over them, before any route is known."""
