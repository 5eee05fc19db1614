"""The routes, one module a noun; `service.app` puts them together."""
