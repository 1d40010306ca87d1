"""The probability-flow ODE by Euler's rule in its exponential form (DDIM; Song et al., 2021)."""

from torch import Tensor

from models.network.schedule import NoiseLevel
from models.solvers.base import Problem
from models.solvers.grid import Points
from models.solvers.stepwise import State, Stepwise


class DdimSolver(Stepwise[State]):
    """x_r / a_r = x_t / a_t + eps (rho_r - rho_t), rho = s / a, in every dimension: deterministic
    from x at t = 1, of first order in rho."""

    name = "ddim"

    def begin(self, x: Tensor, step: Tensor) -> State:
        return State(x, step)

    def move(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> State:
        return State(ode_step(state.x, eps, here, there), state.step + 1)


def ode_step(x: Tensor, eps: Tensor, here: NoiseLevel, there: NoiseLevel) -> Tensor:
    """x at `there` from x at `here`, `eps` frozen."""
    scaled = x / here.alpha + (there.rho - here.rho) * eps
    return (there.alpha * scaled).to(x.dtype)
