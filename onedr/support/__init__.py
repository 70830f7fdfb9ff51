"""A bundle for those who help: what was seen, without secrets."""
