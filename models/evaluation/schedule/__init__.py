"""What the learned noise schedule is like, and what it buys."""
