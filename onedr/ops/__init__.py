"""Doing: protect, record, reconcile, fail over. Steps are executed and journaled here, decided in policy."""
