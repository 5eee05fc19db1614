"""When to trust a head: conformal sets, OOD scores, drift, abstention and self-tests."""
