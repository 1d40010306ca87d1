"""Bounds and clock of the stores under contract."""

CAPACITY, RETAINED, RETENTION_S = 4, 3, 60.0


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
