"""What `make mutants` breaks, one at a time, and the tests that must notice."""
