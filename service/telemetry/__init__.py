"""What a process tells of itself: who is told what (`observers`, `ticks`), and metrics of that."""
