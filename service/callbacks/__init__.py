"""Calls to the URLs that jobs name, when the jobs have ended."""
