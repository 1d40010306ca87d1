"""The price of beginning rows, in ticks, learned from the ticks themselves."""

from service.telemetry.ticks import Tick

# Each tick weighs this much less than the one after it.
DECAY = 0.95
# Before so many begins the price is not known.
ENOUGH = 20
# A begin or a tick that took this many times what was expected was disturbed by another program.
DISTURBED = 3.0


class BeginPrice:
    """The mean time of a begin, over that of the rest of a tick.

    All rows that begin in a tick begin as one, and cost little more than a single row does.
    """

    def __init__(self) -> None:
        self._begins = 0
        self._begin = self._rest = 0.0

    def record(self, tick: Tick) -> None:
        """Take in a tick in which rows began."""
        begin = tick.parts.get("begin", 0.0)
        rest = tick.seconds - begin
        if self._begins >= ENOUGH:
            begin = min(begin, DISTURBED * self._begin)
            rest = min(rest, DISTURBED * self._rest)
        self._begins += 1
        # The first few count alike.
        keep = min(DECAY, 1 - 1 / self._begins)
        self._begin = keep * self._begin + (1 - keep) * begin
        self._rest = keep * self._rest + (1 - keep) * rest

    @property
    def ticks(self) -> float:
        """The price of a begin in ticks; 0 while that is not known."""
        return self._begin / self._rest if self._begins >= ENOUGH and self._rest > 0 else 0.0
