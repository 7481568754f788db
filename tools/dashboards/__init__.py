"""The Grafana dashboards: what `tools/build_dashboards.py` writes."""
