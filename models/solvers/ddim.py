"""The probability-flow ODE by Euler's rule in its exponential form (DDIM; Song et al., 2021)."""

from torch import Tensor

from models.network.schedule import NoiseLevel
from models.solvers.base import Problem
from models.solvers.grid import Points
from models.solvers.stepwise import OneStep, State


class DdimSolver(OneStep):
    """x_r / a_r = x_t / a_t + eps (rho_r - rho_t), rho = s / a, in every dimension: deterministic
    from x at t = 1, of first order in rho. a and s stand for alpha and sigma."""

    name = "ddim"

    def onward(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        return ode_step(state.x, eps, here, there)


def ode_step(x: Tensor, eps: Tensor, here: NoiseLevel, there: NoiseLevel) -> Tensor:
    """x at `there` from x at `here` `[rows, C, H, W]`, with `eps` the same all along the step."""
    scaled = x / here.alpha + (there.rho - here.rho) * eps
    return (there.alpha * scaled).to(x.dtype)
