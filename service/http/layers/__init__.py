"""The ASGI layers around every route: guards, gate, request id, metrics, headers."""
