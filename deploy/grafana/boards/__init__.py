"""The Grafana boards in Python. `python -m deploy.grafana.boards` writes their JSON."""
