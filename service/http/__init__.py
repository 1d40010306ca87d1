"""The HTTP server: how requests arrive, and what a connection may cost before they have."""
