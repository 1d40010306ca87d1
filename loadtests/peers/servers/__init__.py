"""The servers that are compared: each a program of its own, as its documentation advises."""
