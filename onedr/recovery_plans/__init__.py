"""`onedr recovery-plan`: plans of a datastore, each a file: edit, show, check, history."""
