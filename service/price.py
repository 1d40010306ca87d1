"""The price of work in row-evaluations, by which requests are judged, queued, scheduled and scaled.

One row-evaluation is one forward pass of the network for one row. A row that asks for `probes`
vector-Jacobian products pays for each of them beside the forward pass, so that one of its
evaluations costs 1 + probes.
"""

from typing import NamedTuple


def price(rows: int, evaluations: int = 1, probes: int = 0) -> int:
    """Row-evaluations of `rows` rows, each evaluated `evaluations` times with `probes` probes."""
    return rows * evaluations * (1 + probes)


class Quote(NamedTuple):
    """The numbers that make the price of one request.

    Each of `images` is computed for each of `classes`, `draws` times, each draw in `steps` network
    evaluations with `probes` probes. A number that a request does not have is None.
    """

    images: int
    steps: int
    draws: int | None = None
    probes: int | None = None
    classes: int | None = None

    @property
    def row_evaluations(self) -> int:
        """The price."""
        draws = 1 if self.draws is None else self.draws
        classes = 1 if self.classes is None else self.classes
        return price(self.images * classes * draws, self.steps, self.probes or 0)

    @property
    def formula(self) -> str:
        """The factors of the price, in words and in numbers: `images x steps = 16 x 20`."""
        numbers = {
            "images": self.images,
            "classes": self.classes,
            "draws": self.draws,
            "(1 + probes)": None if self.probes is None else price(1, probes=self.probes),
            "steps": self.steps,
        }
        present = {name: str(number) for name, number in numbers.items() if number is not None}
        return f"{' x '.join(present)} = {' x '.join(present.values())}"
