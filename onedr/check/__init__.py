"""`onedr check` and its probe."""
