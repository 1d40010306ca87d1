"""Checkpoint folders: read, written, imported from official files and exported."""
