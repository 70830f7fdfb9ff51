"""Drills: the protected VMs are started at the secondary site from clones."""
