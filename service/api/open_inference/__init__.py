"""The Open Inference Protocol, version 2, under /v2.

Its requests become the same jobs as those under /v1, by the same admission. Each kind of work that
declares a form in tensors is a model of its own.
"""
