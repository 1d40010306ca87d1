"""Every registered solver comes to the exact law or density at its declared order."""

import density_laws
import image_laws
import lawbook as law
import pytest
from balance_law import acceptance_is_counted, keeps_balance

from models.schema.limits import Chain, Steps
from models.schema.specs import MOST_LEVELS, AdaptiveSpec, FlowPath, Levels
from models.schema.walks import RtkSpec, SolverSpec, WalkSpec
from models.solvers import SAMPLERS, SOLVERS
from models.solvers.levels import LevelsSolver


def every(kind: type[SolverSpec], *limit: type[Steps | Chain]) -> pytest.MarkDecorator:
    """All specs of one kind, and of such limits."""
    chosen = [
        spec for spec in law.SPECS if isinstance(spec, kind) and isinstance(spec.limit, limit)
    ]
    return pytest.mark.parametrize("spec", chosen, ids=repr)


EXACT = [
    spec
    for spec in law.SPECS
    if isinstance(spec, WalkSpec) and isinstance(spec.limit, Steps) and spec.limit.exact_on_a_point
]
RTK = [spec for spec in law.SPECS if isinstance(spec, RtkSpec)]
STARTING = [spec for spec in RTK if spec.limit.start is not None]
# Grids and starts do not matter within a segment.
ONE_SEGMENT = dict.fromkeys(spec.replaced(grid="gamma", start="kernel") for spec in RTK)
ACCEPTING = [spec for spec in ONE_SEGMENT if spec.limit.balance is not None]


def test_every_spec_has_a_law_of_its_limit() -> None:
    for spec in law.SPECS:
        if isinstance(spec, Levels):
            continue
        assert isinstance(spec, WalkSpec | AdaptiveSpec | FlowPath)
        assert isinstance(spec.limit, Chain) == isinstance(spec, RtkSpec)


@every(WalkSpec, Steps)
def test_the_images_of_many_steps_have_the_law_of_the_data(spec: WalkSpec) -> None:
    image_laws.images_converge(SAMPLERS[spec.name], spec)


@pytest.mark.parametrize("spec", EXACT, ids=repr)
def test_few_steps_are_exact_on_a_single_image(spec: WalkSpec) -> None:
    image_laws.points_are_exact(SAMPLERS[spec.name], spec)


@every(RtkSpec, Chain)
def test_long_chains_of_small_steps_draw_from_the_kernel(spec: RtkSpec) -> None:
    image_laws.chains_converge(SAMPLERS[spec.name], spec)


@pytest.mark.parametrize("spec", STARTING, ids=repr)
def test_many_starts_alone_have_the_law_of_the_data(spec: RtkSpec) -> None:
    image_laws.starts_converge(SAMPLERS[spec.name], spec)


@pytest.mark.parametrize("spec", ACCEPTING, ids=repr)
def test_acceptance_keeps_the_kernel(spec: RtkSpec) -> None:
    keeps_balance(SAMPLERS[spec.name], spec)


@pytest.mark.parametrize("spec", ACCEPTING, ids=repr)
def test_the_share_accepted_is_counted(spec: RtkSpec) -> None:
    acceptance_is_counted(SAMPLERS[spec.name], spec)


@every(AdaptiveSpec, Steps)
def test_the_density_of_many_steps_is_that_of_the_model(spec: AdaptiveSpec) -> None:
    density_laws.densities_converge(SOLVERS[spec.name], spec)


@every(AdaptiveSpec, Steps)
def test_the_tolerance_is_kept(spec: AdaptiveSpec) -> None:
    density_laws.tolerances_are_kept(SOLVERS[spec.name], spec)


@every(FlowPath, Steps)
def test_a_path_of_many_steps_is_the_exact_one(spec: FlowPath) -> None:
    density_laws.paths_converge(SOLVERS[spec.name], spec)


@every(FlowPath, Steps)
def test_every_fresh_draw_is_a_new_one(spec: FlowPath) -> None:
    density_laws.fresh_draws_are_new(SOLVERS[spec.name], spec)


@pytest.mark.parametrize("levels", [2, 5, MOST_LEVELS])
def test_levels_are_scores_of_noisy_densities(levels: int) -> None:
    density_laws.levels_are_scores(LevelsSolver(), Levels(levels=levels))
