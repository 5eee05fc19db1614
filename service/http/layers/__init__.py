"""What all requests have in common: gate, limits of bodies, request id, metrics, headers."""
