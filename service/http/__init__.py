"""What every route shares: guards, errors, bodies, idempotency, documentation."""
