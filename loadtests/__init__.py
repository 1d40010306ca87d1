"""Open questions about speed, each a script that measures the real service on loopback."""
