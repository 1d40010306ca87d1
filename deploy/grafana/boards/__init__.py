"""The Grafana boards as Python: `python -m deploy.grafana.boards` writes their JSON."""
