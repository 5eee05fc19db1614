"""Train a head: each method's solver, the loop over it, and the choice between them."""
