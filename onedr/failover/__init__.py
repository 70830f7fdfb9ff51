"""Failover, planned move, failback and resume."""
