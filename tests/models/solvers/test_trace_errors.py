"""The measurement of the probes' error, on a mixture whose exact trace is affordable."""

from flows import SMALL, images_of, mixture

from models.evaluation.ode.trace import trace_errors, trace_table


def test_fresh_probes_err_less_and_their_intervals_cover() -> None:
    denoiser = mixture(8, 4, SMALL)
    found = trace_errors("mixture", denoiser, images_of(denoiser, 24), (1, 2), repeats=2, seed=0)
    # One fixed probe states no error, so that it has no row.
    assert [(row.probing, row.probes) for row in found.rows] == [
        ("fresh", 1),
        ("fresh", 2),
        ("fixed", 2),
    ]
    one, two, fixed = found.rows
    assert found.reference == "exact"
    assert {row.solves for row in found.rows} == {48}
    assert len({row.evaluations for row in found.rows}) == 1
    assert two.root_mean_square < one.root_mean_square
    assert two.root_mean_square < 0.6 * fixed.root_mean_square
    for row in found.rows:
        assert abs(row.bias) < 4 * row.bias_error
        assert row.covered > 0.8
    assert len(trace_table(found).splitlines()) == 5


def test_repeats_have_other_probes_and_a_seed_the_same() -> None:
    denoiser = mixture(4, 3, SMALL)
    tokens = images_of(denoiser, 2)

    def errors(repeats: int) -> list[float]:
        found = trace_errors("mixture", denoiser, tokens, (2,), repeats, seed=0)
        return [row.root_mean_square for row in found.rows]

    assert errors(1) == errors(1)
    assert all(once != twice for once, twice in zip(errors(1), errors(2), strict=True))
