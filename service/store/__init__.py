"""Where jobs wait and results stay: one interface, an in-memory store, later Redis."""
