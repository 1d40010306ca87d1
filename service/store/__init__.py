"""The store, where jobs wait and results stay: one interface, in memory or in Redis."""
