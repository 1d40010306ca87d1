"""Fair turns among owners: start-time fair queueing (Goyal, Vin and Cheng, 1996)."""


class Turns:
    """The order of owners that gives those with queued jobs equal shares of the work.

    Each owner has the tag at which its work would end if all owners were served evenly, in
    row-evaluations. The owner with the lowest starting tag is served next; an owner that was away
    starts at the present tag, so that nobody saves up turns.
    """

    def __init__(self) -> None:
        self._present = 0
        self._ends: dict[str, int] = {}

    def start(self, owner: str) -> int:
        """The tag at which the owner's next job would start; the lowest is served next."""
        return max(self._present, self._ends.get(owner, 0))

    def take(self, owner: str, cost: int) -> None:
        """Count a job of the owner that has been taken, at its price in row-evaluations."""
        start = self.start(owner)
        self._present, self._ends[owner] = start, start + cost

    def reset(self) -> None:
        """Forget all turns; called when nothing waits."""
        self._present = 0
        self._ends.clear()
