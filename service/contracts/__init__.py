"""Requests and answers that belong to no kind of work, and the fields that all kinds share."""
