"""Metrics, health and logging of a worker."""
