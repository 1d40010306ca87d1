"""MULAN models behind HTTP. The store, the scheduler and the API know nothing of torch."""
