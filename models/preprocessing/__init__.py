"""Photographs become tiles of pixel tokens, and maps of tiles come back to the photograph."""
