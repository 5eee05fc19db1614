"""Connections and the HTTP/1.1 that arrives over them, before any route is known."""
