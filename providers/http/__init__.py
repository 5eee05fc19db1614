"""One HTTP request to a provider: guarded sockets, the exchange, and what the answer means."""
