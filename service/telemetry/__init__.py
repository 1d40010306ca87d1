"""Reports of a process about itself: observers, and the metrics, log and traces made of them."""
