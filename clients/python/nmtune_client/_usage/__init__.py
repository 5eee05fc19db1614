"""What a tenant uses, and what it may use."""
