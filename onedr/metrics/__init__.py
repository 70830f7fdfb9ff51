"""Metrics for Prometheus: names, facts, samples, the exporter."""
