"""Scripts that measure the real service on loopback, each for one question about its speed."""
