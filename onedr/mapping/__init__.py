"""`onedr map`: the mapping of a datastore as one file: draft, check, set, show."""
