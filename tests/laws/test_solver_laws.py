"""The laws that every registered solver keeps; a new one is picked up from the registry."""

from typing import Any

import lawbook as law
import optree
import pytest
import torch

from models.rows.rows import QUANTUM, Answer, concat, count, pad, row_quantum, take
from models.schema.specs import AdaptiveSpec, Levels
from models.solvers import SAMPLERS, SOLVERS
from models.solvers.base import RowStatus

EVERY_SPEC = pytest.mark.parametrize("spec", law.SPECS, ids=repr)
ALL = torch.arange(law.ROWS)
FEWER = 1, 2, 33


def test_every_registered_solver_is_tried() -> None:
    assert {spec.name for spec in law.SPECS} == set(SOLVERS)
    assert set(SAMPLERS) <= set(SOLVERS)
    assert all(solver.name == name for name, solver in SOLVERS.items())


@EVERY_SPEC
def test_a_row_comes_to_the_same_alone_and_among_others(spec: Any) -> None:
    solver = law.solver_of(spec)
    together = law.finished(spec)
    for index in (0, 5, law.ROWS - 1):
        chosen = torch.tensor([index])
        alone = law.finish(solver, law.rows_of(spec, chosen))
        assert law.same(alone, take(together, chosen))


@EVERY_SPEC
def test_rows_of_whole_vectors_need_no_padding(spec: Any) -> None:
    """A lane pads only as far as images need it; `whole` sees to the columns."""
    assert row_quantum(law.WHOLE.config.dimensions) == 1
    solver = law.solver_of(spec)
    bent = spec.replaced(power=1.7) if hasattr(spec, "power") else spec
    index = torch.arange(40)
    problem = law.problem_of(bent, index, denoiser=law.WHOLE)
    some = problem, solver.init(problem)
    fewer = {rows: (part := take(problem, index[:rows]), solver.init(part)) for rows in FEWER}
    dice = torch.Generator().manual_seed(0)
    for _ in range(12):
        query = solver.ask(*some)
        cotangents = query.cotangents
        answer = Answer(
            torch.randn(query.x.shape, generator=dice),
            None if cotangents is None else torch.randn(cotangents.shape, generator=dice),
        )
        some = problem, solver.tell(*some, answer)
        for rows, few in fewer.items():
            asked, told = (take(whole, index[:rows]) for whole in (query, answer))
            assert law.same(solver.ask(*few), asked), rows
            few = fewer[rows] = few[0], solver.tell(*few, told)
            assert law.same(few[1], take(some[1], index[:rows])), rows
            assert torch.equal(solver.status(*few), solver.status(*some)[:rows]), rows


@EVERY_SPEC
@pytest.mark.parametrize("dice", range(2))
def test_no_order_of_service_changes_a_row(spec: Any, dice: int) -> None:
    """Rows enter in mid-flight, are permuted, packed with any others, and postponed at will."""
    solver = law.solver_of(spec)
    expected = law.finished(spec)
    draws = torch.Generator().manual_seed(dice)
    waiting = law.rows_of(spec, ALL)
    present, names = take(waiting, ALL[:3]), ALL[:3]
    entered = 3
    while law.running(solver, present).any() or entered < law.ROWS:
        if entered < law.ROWS and torch.rand((), generator=draws) < 0.5:
            names = torch.cat([names, ALL[entered : entered + 2]])
            present = concat([present, take(waiting, ALL[entered : entered + 2])])
            entered = min(entered + 2, law.ROWS)
        order = torch.randperm(count(present), generator=draws)
        present, names = take(present, order), names[order]
        served = int(torch.randint(1, count(present) + 1, (), generator=draws))
        places = torch.arange(count(present))
        told = law.tell(solver, take(present, places[:served]))
        present = concat([told, take(present, places[served:])])
    assert law.same(take(present, names.argsort()), expected)


@EVERY_SPEC
def test_take_and_concat_commute_with_tell(spec: Any) -> None:
    solver = law.solver_of(spec)
    rows = law.rows_of(spec, ALL)
    odd = ALL % 2 == 1
    back = torch.cat([ALL[odd], ALL[~odd]]).argsort()
    for _ in range(5):
        parts = [law.tell(solver, take(rows, half)) for half in (odd, ~odd)]
        rows = law.tell(solver, rows)
        assert law.same(take(concat(parts), back), rows)


@EVERY_SPEC
def test_no_call_changes_its_arguments(spec: Any) -> None:
    solver = law.solver_of(spec)
    problem = law.problem_of(spec, ALL)
    before = law.copy(problem)
    state = solver.init(problem)
    assert law.same(problem, before)
    for _ in range(5):
        kept = law.copy((problem, state))
        query = solver.ask(problem, state)
        assert law.same(query, solver.ask(problem, state))
        answer = law.DENOISER.evaluate(query, problem.condition)
        heard = law.copy(answer)
        told = solver.tell(problem, state, answer)
        solver.status(problem, state)
        solver.progress(problem, state)
        assert law.same((problem, state), kept)
        assert law.same(answer, heard)
        assert law.same(told, solver.tell(problem, state, answer))
        state = told


@EVERY_SPEC
def test_the_price_is_what_each_row_was_evaluated(spec: Any) -> None:
    solver = law.solver_of(spec)
    rows = law.rows_of(spec, ALL)
    counted = torch.zeros_like(ALL)
    while (running := law.running(solver, rows)).any():
        counted += running
        rows = law.tell(solver, rows)
    assert torch.equal(law.evaluations(solver, rows), counted)
    if isinstance(spec, AdaptiveSpec):
        assert counted.max() <= spec.max_evaluations
    else:
        assert counted.tolist() == [spec.evaluations] * law.ROWS


@EVERY_SPEC
@pytest.mark.parametrize("when", [0, 1, 2])
def test_a_row_that_is_not_finite_fails_alone(spec: Any, when: int) -> None:
    solver = law.solver_of(spec)
    expected = law.finished(spec)
    rows = law.rows_of(spec, ALL)
    for step in range(1000):
        if not law.running(solver, rows).any():
            break
        padded, answer = law.answer(solver, rows)
        if step == when:
            answer.eps[4] = torch.nan
        told = solver.tell(*padded, answer)
        rows = rows[0], take(told, ALL)
    status = solver.status(*rows).tolist()
    assert status.pop(4) == RowStatus.NOT_FINITE
    assert set(status) == {RowStatus.DONE}
    others = ALL != 4
    assert law.same(take(rows, others), take(expected, others))


@EVERY_SPEC
def test_a_finished_row_stays_finished_whatever_it_is_told(spec: Any) -> None:
    solver = law.solver_of(spec)
    rows = law.finished(spec)
    kept = law.copy(rows)
    padded, answer = law.answer(solver, rows)
    noise: Answer = optree.tree_map(torch.randn_like, answer)
    poison: Answer = optree.tree_map(lambda leaf: leaf * torch.nan, answer)
    for told in (answer, noise, poison):
        state = solver.tell(*padded, told)
        assert law.same(take(state, ALL), kept[1])
        assert solver.status(rows[0], take(state, ALL)).tolist() == [RowStatus.DONE] * law.ROWS


@pytest.mark.parametrize("name", SOLVERS)
def test_rows_of_different_parameters_share_a_lane(name: str) -> None:
    solver = SOLVERS[name]
    specs = [spec for spec in law.SPECS if spec.name == name]
    gentler = {field: 0.8 * value for field, value in specs[0] if isinstance(value, float)}
    longer = [{field: value + 1} for field, value in specs[0] if isinstance(value, int)]
    specs += [specs[0].replaced(**changes) for changes in (gentler, *longer)]
    alone = [law.rows_of(spec, ALL[:2], seed) for seed, spec in enumerate(specs)]
    # An exact trace pulls back more vectors than probes do: a lane of its own.
    alone = [rows for rows in alone if law.as_wide(rows, alone[0])]
    order = torch.randperm(2 * len(alone), generator=torch.Generator().manual_seed(0))
    mixed = law.finish(solver, take(concat(alone), order))
    apart = concat([law.finish(solver, rows) for rows in alone])
    assert law.same(mixed, take(apart, order))


@EVERY_SPEC
def test_the_key_determines_the_result(spec: Any) -> None:
    solver = law.solver_of(spec)

    def outcome(index: list[int], seed: int) -> Any:
        rows = law.finish(solver, law.rows_of(spec, torch.tensor(index), seed))
        return [leaf for leaf in optree.tree_leaves(rows[1]) if leaf.is_floating_point()]

    first = outcome([3, 4], 1)
    assert law.same(first, outcome([3, 4], 1))
    if not isinstance(spec, Levels):
        # The levels of an image are the same whatever the key.
        assert not law.same(first, outcome([3, 4], 2))
    assert not law.same(take(first, ALL[:1]), take(first, ALL[1:2]))
    assert law.same(take(first, ALL[1:2]), outcome([4], 1))


@EVERY_SPEC
def test_progress_goes_from_nothing_to_all(spec: Any) -> None:
    solver = law.solver_of(spec)
    rows = law.rows_of(spec, ALL)
    last = solver.progress(*rows)
    assert (last == 0).all()
    while law.running(solver, rows).any():
        assert (last < 1).any()
        rows = law.tell(solver, rows)
        now = solver.progress(*rows)
        assert (now >= last).all()
        last = now
    assert (last == 1).all()


@EVERY_SPEC
def test_every_leaf_leads_with_the_rows(spec: Any) -> None:
    solver = law.solver_of(spec)
    rows = law.rows_of(spec, ALL)
    padded, answer = law.answer(solver, rows)
    asked = solver.ask(*padded)
    told = solver.tell(*padded, answer)
    for leaf in optree.tree_leaves((padded, asked, told)):
        assert len(leaf) == count(padded) == count(pad(ALL, QUANTUM))
    assert solver.status(*padded).dtype == torch.int8
    assert asked.x.shape[1:] == law.CONFIG.chw
    assert asked.x.dtype == torch.float32
