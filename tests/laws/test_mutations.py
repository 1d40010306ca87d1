"""The laws catch every solver that is made wrong."""

import sys

import pytest
from mutations import Edit, mutated
from wrong_solvers import WRONG, Wrong

from models.solvers import SOLVERS


def test_every_solver_is_made_wrong() -> None:
    assert {wrong.spec.name for wrong in WRONG} >= {*SOLVERS}


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_solver_breaks_its_law(wrong: Wrong) -> None:
    with mutated(wrong.edit) as solvers, pytest.raises(AssertionError):
        wrong.law(solvers[wrong.spec.name], wrong.spec)


def test_the_right_solvers_are_there_again() -> None:
    with mutated(Edit("ddim", "there.alpha *", "here.alpha *")) as wrong:
        assert wrong["ddim"] is not SOLVERS["ddim"]
    assert sys.modules["models.solvers"].SOLVERS is SOLVERS
