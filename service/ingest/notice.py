"""Home of what a warning about a dataset is, without the rest of its profile."""

Warning_ = dict[str, str]
"""`code`, `message`, and `split` if it is about one."""
