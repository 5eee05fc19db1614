"""When to trust a head: conformal sets, OOD scores, drift, abstention, and its self-test."""
