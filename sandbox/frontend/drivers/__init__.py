"""Drivers: what the datastore, TM and VMM executables are told, and what their answers mean for images."""
