"""Every solver made wrong in many ways, and the law that must catch each of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from balance_law import acceptance_is_counted, keeps_balance
from density_laws import (
    densities_converge,
    fresh_draws_are_new,
    levels_are_scores,
    paths_converge,
    tolerances_are_kept,
)
from image_laws import chains_converge, images_converge, points_are_exact, starts_converge
from mutations import Edit

from models.schema.specs import (
    Adams,
    Ddim,
    Ddpm,
    Dpm2m,
    Dpm2mSde,
    FlowPath,
    Levels,
    Rk45,
    RtkMala,
    RtkUla,
    RtkUld,
)
from models.schema.walks import SolverSpec

Law = Callable[[Any, Any], None]


class Wrong(NamedTuple):
    """The fault of the solver of `spec` after the edit, and the law that it breaks."""

    title: str
    spec: SolverSpec
    law: Law
    edit: Edit

    def __str__(self) -> str:
        return f"{self.spec.name} {self.title}"


def _broken(
    law: Law, specs: SolverSpec | tuple[SolverSpec, ...], **edits: tuple[str, str, str]
) -> list[Wrong]:
    """The solver of each spec with each edit; names are titles, their words joined."""
    several = specs if isinstance(specs, tuple) else (specs,)
    return [
        Wrong(title.replace("_", " "), spec, law, Edit(*edit))
        for spec in several
        for title, edit in edits.items()
    ]


TRAPEZOID, SIMPSON = RtkMala(energy="trapezoid"), RtkMala(energy="simpson")
STAYS = ("stepwise", "State(x, state.nfe + 1, there)", "State(x, state.nfe + 1, state.here)")
CHAIN_EARLY = ("kernel", "< 0, self.here, self.there)", "< 0, self.here, self.here)")
UPHILL = ("kernel", "x - c * self.drift", "x + c * self.drift")
BACKWARDS = ("multistep", "data + reach", "data - reach")
FIRST_DATA = ("dpm_2m", "data.to(state.x.dtype),", "state.previous,")
WRONG_SIGMA = ("ddpm", "there.sigma * c.sqrt()", "here.sigma * c.sqrt()")
NO_SCALES = ("flow", "prior, log_det - 0.5", "prior, log_det - 0.0")

WRONG = [
    *_broken(
        points_are_exact,
        (Ddpm(), Ddim()),
        stays_at_the_first_point=STAYS,
    ),
    *_broken(
        points_are_exact,
        (Ddpm(), Dpm2mSde()),
        spreads_by_sigma_of_the_noisier_end=WRONG_SIGMA,
    ),
    *_broken(
        images_converge,
        Ddpm(),
        leaves_c_out_of_the_mean=("ddpm", "here.sigma * c * eps", "here.sigma * eps"),
        adds_what_it_should_take_away=("ddpm", "(x - here.sigma", "(x + here.sigma"),
        draws_the_same_noise_again=("ddpm", "Stream.STEP, state.nfe,", "Stream.STEP, 0,"),
        draws_no_noise=("ddpm", "c.sqrt() * draw", "c.sqrt() * 0 * draw"),
    ),
    *_broken(
        images_converge,
        Ddim(),
        steps_the_wrong_way=("ddim", "(there.rho - here.rho)", "(here.rho - there.rho)"),
        keeps_the_scale_of_the_noisier_end=("ddim", "there.alpha *", "here.alpha *"),
        takes_no_step=("stepwise", "state.here.noise, there.noise", "there.noise, there.noise"),
    ),
    *_broken(
        images_converge,
        (Dpm2m(), Dpm2mSde()),
        carries_the_data_backwards=BACKWARDS,
        keeps_the_first_prediction=FIRST_DATA,
        carries_the_data_twice_as_far=("multistep", "(2 * past", "(past"),
        forgets_where_it_predicted_before=("dpm_2m", ", here.gamma)", ", there.noise.gamma)"),
        takes_sigma_for_alpha=("multistep", "here.alpha * data", "here.sigma * data"),
    ),
    *_broken(
        images_converge,
        Dpm2mSde(),
        draws_the_same_noise_again=("dpm_2m", "Stream.STEP, state.nfe,", "Stream.STEP, 0,"),
    ),
    *_broken(
        chains_converge,
        (RtkUla(), RtkMala()),
        asks_at_the_noisier_end=CHAIN_EARLY,
        climbs_where_it_should_fall=UPHILL,
        spreads_by_too_little=("kernel", "(2 * c * self.mass)", "(c * self.mass)"),
    ),
    *_broken(
        chains_converge,
        RtkUla(),
        forgets_the_pull_of_the_anchor=("kernel", "* eps + self.pull *", "* eps + 0 *"),
        takes_sigma_of_the_noisier_end=(
            "kernel",
            "gain = there.sigma * c",
            "gain = here.sigma * c",
        ),
        does_not_scale_the_anchor=("kernel", "there.alpha / here.alpha * anchor", "anchor"),
        draws_the_same_noise_again=("rtk_ula", "PROPOSAL, walk.nfe,", "PROPOSAL, 0,"),
    ),
    *_broken(
        starts_converge,
        RtkUla(start="multistep"),
        predicts_at_the_cleaner_end=(
            "kernel",
            "< 0, self.here, self.there)",
            "< 0, self.there, self.there)",
        ),
        keeps_the_first_prediction=("kernel", "predicted.to(self.x.dtype))", "self.data)"),
        forgets_where_it_predicted_before=(
            "kernel",
            "gamma = self.here.noise",
            "gamma = self.there.noise",
        ),
        starts_with_the_same_noise_again=(
            "kernel",
            "use = plan.segment(self.nfe) + (",
            "use = 0 * self.nfe + 0 * (",
        ),
    ),
    *_broken(
        starts_converge,
        RtkMala(start="multistep"),
        leaves_the_next_start_with_the_same_noise=(
            "kernel",
            "(~plan.ancestral | (plan.carried & (self.nfe > 0)))",
            "~plan.ancestral",
        ),
        starts_from_no_prediction=("rtk_mala", "return own.eps", "return 0 * own.eps"),
        leaves_only_the_first_start=(
            "kernel",
            "starts | (ends & plan.carried & (nfe < plan.evaluations))",
            "starts",
        ),
    ),
    *_broken(
        chains_converge,
        RtkUld(),
        asks_at_the_noisier_end=CHAIN_EARLY,
        pushes_momentum_up_the_slope=("rtk_uld", "w - glide * drift", "w + glide * drift"),
        loses_no_momentum=("rtk_uld", "w = decay * w", "w = w"),
        moves_against_its_momentum=("rtk_uld", "walk.x + glide * w", "walk.x - glide * w"),
        gives_momentum_too_little_noise=("rtk_uld", "+ jolt * first", "+ 0.9 * jolt * first"),
        draws_the_same_noise_again=("rtk_uld", "PROPOSAL, walk.nfe,", "PROPOSAL, 0,"),
    ),
    *_broken(
        chains_converge,
        RtkMala(),
        draws_the_same_noise_again=("rtk_mala", "PROPOSAL, place,", "PROPOSAL, 0,"),
    ),
    *_broken(
        keeps_balance,
        (TRAPEZOID, SIMPSON),
        leaves_out_the_ratio_of_proposals=("rtk_mala", "(bend - gradients)", "bend"),
        turns_the_ratio_of_proposals_over=("rtk_mala", "(bend - gradients)", "(bend + gradients)"),
        weighs_the_gradients_twice=("rtk_mala", "per_row(step) / 4", "per_row(step) / 2"),
        accepts_what_it_should_refuse=("rtk_mala", "chance) < ratio", "chance) > ratio"),
        accepts_everything=("rtk_mala", "accept = awaited.judged &", "accept = awaited.judged |"),
        keeps_a_stale_prediction=("rtk_mala", "where(accept | ", "where("),
        takes_over_what_it_refused=("rtk_mala", "where(accept |", "where(awaited.judged |"),
        proposes_from_a_stale_one=("rtk_mala", "langevin(x, kept", "langevin(x, proposal.eps"),
        judges_by_the_prediction_at_x=("rtk_mala", "x, judged, eps)", "x, judged, proposal.eps)"),
    ),
    *_broken(
        keeps_balance,
        TRAPEZOID,
        takes_one_end_for_the_mean=("rtk_mala", "(proposal.eps + eps) / 2", "proposal.eps"),
    ),
    *_broken(
        keeps_balance,
        SIMPSON,
        asks_for_the_middle_at_one_end=("rtk_mala", "(walk.x + proposal.x) / 2", "walk.x"),
        weighs_the_middle_by_half=(
            "rtk_mala",
            "eps.double() - 2 * middle",
            "eps.double() - middle",
        ),
        bends_the_wrong_way=("rtk_mala", "(bend - gradients)", "(-bend - gradients)"),
        takes_the_first_for_the_middle=(
            "rtk_mala",
            "where(awaited.midway, eps",
            "where(awaited.first, eps",
        ),
    ),
    *_broken(
        acceptance_is_counted,
        SIMPSON,
        counts_middles_as_proposals=("rtk_mala", "(1 + simpson.long())", "1"),
    ),
    *_broken(
        densities_converge,
        Adams(),
        weighs_one_end_of_a_step_twice=("adams", "(own.rate + rate)", "(rate + rate)"),
        counts_each_step_twice=("adams", "log_det + (h / 2)[:, None]", "log_det + h[:, None]"),
        corrects_the_wrong_way=("adams", "change, own.here, there.g", "-change, own.here, there.g"),
        keeps_the_first_answer=("adams", "            eps=eps,\n", "            eps=own.eps,\n"),
        asks_where_it_stands=("adams", "advance(state.s, state.step))", "state.s)"),
        leaves_out_the_scales=NO_SCALES,
        weighs_the_trace_twice=("flow", "weight = 0.5 * condition", "weight = condition"),
        takes_sigma_for_alpha=("flow", "(at.noise.alpha * x)", "(at.noise.sigma * x)"),
    ),
    *_broken(
        tolerances_are_kept,
        Adams(),
        heeds_no_tolerance=("adams", "return problem.columns.tolerance /", "return 10 /"),
    ),
    *_broken(
        densities_converge,
        Rk45(),
        has_a_wrong_weight=("dormand_prince", "11 / 84, 0),", "11 / 83, 0),"),
        has_a_wrong_stage=("dormand_prince", "-5103 / 18656", "5103 / 18656"),
        asks_at_a_wrong_node=("dormand_prince", "4 / 5, 8 / 9", "4 / 5, 4 / 5"),
        keeps_the_first_slope=("rk45", "slopes=slopes.roll(1, dims=1)", "slopes=slopes"),
        keeps_the_first_rate=("rk45", "rates=rates.roll(1, dims=1)", "rates=rates"),
        counts_half_of_every_rate=("rk45", "h[:, None] * _combine", "h[:, None] / 2 * _combine"),
        leaves_out_the_scales=NO_SCALES,
    ),
    *_broken(
        tolerances_are_kept,
        Rk45(),
        heeds_no_tolerance=("rk45", "(problem.columns.tolerance * h)", "(10 * h)"),
    ),
    *_broken(
        paths_converge,
        FlowPath(),
        weighs_one_end_of_a_step_twice=("path", "(state.rate + rate)", "(rate + rate)"),
        counts_each_step_twice=("path", "(begun * h / 2)", "(begun * h)"),
        corrects_the_wrong_way=("path", "change, before.", "-change, before."),
        corrects_over_the_next_step=(
            "path",
            "before.gamma, here.gamma)",
            "here.gamma, there.gamma)",
        ),
        asks_at_the_end_of_a_share=("path", "columns.steps - 0.5)", "columns.steps - 1)"),
        weighs_the_bound_twice=("path", "terms = 0.5 *", "terms = 1.0 *"),
        measures_the_bend_per_step=("path", "squares[2] / h**2", "squares[2] / h"),
        measures_the_rate_at_one_end=("path", "(squares[0] + squares[1]) / 2", "squares[0]"),
        leaves_out_the_scales=NO_SCALES,
    ),
    *_broken(
        fresh_draws_are_new,
        FlowPath(),
        draws_the_same_noise_again=("path", "Stream.FRESH, draw,", "Stream.FRESH, 0,"),
    ),
    *_broken(
        levels_are_scores,
        Levels(),
        asks_at_the_edges_of_its_shares=("levels", "double() + 0.5", "double() + 0.0"),
        scales_the_image_by_sigma=("levels", ".alpha * columns.clean", ".sigma * columns.clean"),
        keeps_the_last_level_alone=("levels", "(here, found, state.maps)", "(here, found, 0)"),
        writes_every_level_over=("levels", "(here, found, state.maps)", "(here | True, found, 0)"),
    ),
]
