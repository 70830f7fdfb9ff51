"""Drills: the protected VMs started at the secondary from clones."""
