"""Checkpoint folders are read, written, imported from official files and exported."""
