"""The solves of one image: those that are wanted, those that have ended, and their score."""

from collections.abc import Sequence
from dataclasses import replace

from models.rows.rows import concat
from models.schema.aims import Aim
from models.schema.config import ModelConfig
from models.schema.scores import Score
from models.schema.specs import Adams
from models.solvers.flow import LogDensity
from models.work.likelihood import averaged, summarise
from models.work.precision import Grid, further, variances


class ImageSolves:
    """`draws` of an image, solved once each, and then as often as an `aim` takes.

    What is solved follows from the image's own solves alone.
    """

    def __init__(
        self, config: ModelConfig, spec: Adams, draws: int, aim: Aim | None = None
    ) -> None:
        self._config, self._spec, self._aim = config, spec, aim
        self._first, self._grid = draws, Grid(draws, 1)
        self._ended: dict[tuple[int, int], LogDensity] = {}

    @property
    def limit(self) -> int:
        """The evaluations after which a row gives up, so that the first ones keep to the aim's."""
        if self._aim is None:
            return self._spec.max_evaluations
        return self._aim.evaluations // self._first

    @property
    def wanted(self) -> Sequence[tuple[int, int]]:
        """The draws and the numbers of the solves that are wanted and have not ended."""
        every = ((draw, solve) for draw in range(self._grid.draws) for solve in self._solves)
        return [place for place in every if place not in self._ended]

    def keep(self, draw: int, solve: int, density: LogDensity) -> None:
        """Keep the density of one row that has ended."""
        self._ended[draw, solve] = density

    def extend(self) -> None:
        """Want more solves, once all that were wanted have ended, where the aim takes more."""
        score = self._score()
        if self._aim is None or score.ode_error_estimate is None:
            return
        trace, freedom = score.trace_standard_error, score.trace_degrees_of_freedom
        found = variances(
            None if trace is None or freedom is None else (trace, freedom),
            score.draw_standard_error,
            self._grid.draws,
            score.ode_error_estimate,
        )
        nfe = [int(density.nfe) for density in self._ended.values()]
        self._grid = further(found, self._grid, nfe, self._aim) or self._grid

    def score(self) -> Score:
        """Return the score by all solves, which have ended."""
        score = self._score()
        if self._aim is None:
            return score
        reached = score.total_standard_error
        precise = None if reached is None else reached <= self._aim.nats
        return replace(score, draws=self._grid.draws, solves=self._grid.solves, precise=precise)

    @property
    def _solves(self) -> range:
        return range(self._grid.solves)

    def density(self) -> LogDensity:
        """Return the log-densities of all draws, each from all of its solves, which have ended."""
        draws = [
            averaged([self._ended[draw, solve] for solve in self._solves])
            for draw in range(self._grid.draws)
        ]
        return concat(draws)

    def _score(self) -> Score:
        return summarise(self._config, self.density(), self._spec)
