"""Drivers: commands of the datastore, TM and VMM executables, and the effect of their answers on images."""
