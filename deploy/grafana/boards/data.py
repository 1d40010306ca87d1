"""The data board: whether incoming images and outgoing samples are what they used to be."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.boards.parts import (
    MODEL,
    MODEL_ANYWHERE,
    SOLVER,
    Query,
    Row,
    above,
    below,
    board,
    graph,
    mean,
    number,
    quantile,
    spread,
)

_VERDICTS = f"mulan_anomaly_verdicts_total{{{MODEL}}}"
_FLAGGED = f'mulan_anomaly_verdicts_total{{{MODEL},verdict="abnormal"}}'
# Buckets of equal width, so that uniform p-values have one colour.
_QUARTERS = 'le=~"0.25|0.5|0.75|1.0"'
_JUDGED = f'mulan_anomaly_verdicts_total{{{MODEL},verdict!="failed"}}'


def data() -> Dashboard:
    """Return the board to open when the service is well but its answers are strange."""
    return board(
        "mulan-data",
        "Mulan: data",
        "Are the images like those that the models know, and do the samplers accept as they "
        "should?",
        [_verdicts(), _drift(), _likelihoods(), _samplers()],
    )


def _verdicts() -> Row:
    distance = f"mulan:anomaly_p_value_distance:increase6h{{{MODEL_ANYWHERE}}}"
    return Row(
        "Verdicts",
        [
            number(
                "Flagged, last hour",
                "Share of judged images that were called abnormal. Around alpha (0.05 unless "
                "asked otherwise) if the images are like those of the calibration; far above: "
                "they are not.",
                "percentunit",
                _flagged("1h", "{{model}}"),
                above(0.1, 0.25),
                span=8,
            ),
            number(
                "Distance of p-values from even, six hours",
                "The largest distance between the share of p-values below p and p itself. Over 15 "
                "%, with hundreds of images: other images than those of the calibration. See the "
                "runbook, MulanPValuesShifted.",
                "percentunit",
                Query(f"max by (model) ({distance})", "{{model}}"),
                above(0.15, 0.3),
                span=8,
            ),
            number(
                "Images judged, six hours",
                "What the distance rests on. Below a hundred it says nothing, and no alert comes "
                "of it.",
                "short",
                Query(
                    f"mulan:anomaly_p_value:increase6h{{{MODEL_ANYWHERE}}}",
                    "{{model}}",
                ),
                below(warn=100),
                span=8,
            ),
            spread(
                "p-values",
                "By quarters from 0 to 1. Even colour from bottom to top: images as calibrated. "
                "All at the bottom: strange images, many flagged. All at the top: images more "
                "alike than they should be, perhaps one image sent again and again.",
                "short",
                "mulan_anomaly_p_value",
                f"{MODEL},{_QUARTERS}",
                span=6,
            ),
            graph(
                "Share flagged",
                "By model, over the last moments and over a day. A step at one moment: something "
                "changed in front of the service then; ask who sends the images.",
                "percentunit",
                _flagged("$__rate_interval", "{{model}}, now"),
                _flagged("1d", "{{model}}, a day"),
                limits=above(0.1, 0.25),
                top=1,
                span=6,
            ),
            graph(
                "Verdicts",
                "Images a second by verdict. failed: the likelihood could not be computed for an "
                "image; a few are extreme images, many are a fault of the checkpoint.",
                "ops",
                Query(
                    f"sum by (model, verdict) (rate({_VERDICTS}[$__rate_interval]))",
                    "{{model}} {{verdict}}",
                ),
                stacked=True,
                span=6,
            ),
            graph(
                "Distance of p-values from even, by place",
                "How far the share of p-values below each place is from the place. Small places "
                "far off: the tail that is flagged has changed. 0.5 far off: all images have "
                "shifted.",
                "percentunit",
                Query(distance, "{{model}} at {{p}}"),
                limits=above(0.15, 0.3),
                span=6,
            ),
        ],
    )


def _drift() -> Row:
    martingale, by = "mulan_anomaly_martingale_log10", "max by (model, source)"
    return Row(
        "Drift, by source",
        [
            graph(
                "Evidence of drift",
                "Log10 of the highest value that the martingale has reached, of the worker that "
                "has seen most. 2 is reached by chance in one test in a hundred: above it, the "
                "images are not like those of the calibration. See the runbook, MulanImagesDrift.",
                "short",
                Query(f"{by} ({martingale}_max{{{MODEL}}})", "{{model}}, {{source}}"),
                limits=above(1, 2),
                span=6,
            ),
            graph(
                "Evidence of drift, now",
                "Log10 of the martingale. It rises while images are unlike those before; it falls "
                "once the cause is gone, or once the new images have become most of those seen.",
                "short",
                Query(f"{by} ({martingale}{{{MODEL}}})", "{{model}}, {{source}}"),
                limits=above(1, 2),
                span=6,
                signed=True,
            ),
            graph(
                "Statistics that moved",
                "The five farthest from the calibration over the latest 200 images of a worker, "
                "in standard deviations of the calibration. 0.5 and more: what the statistic "
                "measures has changed; docs/anomalies.md says what that is.",
                "short",
                Query(
                    "topk(5, abs(avg by (model, source, statistic) "
                    f"(mulan_anomaly_statistic_shift{{{MODEL}}})))",
                    "{{model}}, {{source}}: {{statistic}}",
                ),
                limits=above(0.5, 1),
                span=6,
            ),
            graph(
                "Share flagged, by source",
                "Over an hour. One source above the others: look at its camera and its lamp, not "
                "at the model. All of them: see the row above.",
                "percentunit",
                _flagged("1h", "{{model}}, {{source}}", "model, source"),
                limits=above(0.1, 0.25),
                top=1,
                span=6,
            ),
        ],
    )


def _likelihoods() -> Row:
    histogram = "mulan_bits_per_dim"
    return Row(
        "Likelihoods",
        [
            spread(
                "Bits per dimension",
                "Of scored images; fewer bits, more likely. A second band: a second kind of "
                "image. The band moves: cameras, scaling or compression in front of the service "
                "have changed.",
                "short",
                histogram,
                MODEL,
            ),
            graph(
                "Bits per dimension, mean",
                "Over ten minutes and over a day. The short one off the long one for an hour: the "
                "images have changed. Compare it with the checkpoint's card.",
                "short",
                mean(histogram, MODEL, "model", "10m", "{{model}}, ten minutes"),
                mean(histogram, MODEL, "model", "1d", "{{model}}, a day"),
            ),
            graph(
                "Bits per dimension, extremes",
                "One image in ten has fewer than p10, one more than p90. p90 up alone: some "
                "callers send other images. Both move: all do.",
                "short",
                quantile(0.1, histogram, MODEL, "model"),
                quantile(0.9, histogram, MODEL, "model"),
            ),
        ],
    )


def _samplers() -> Row:
    histogram = "mulan_acceptance_rate"
    return Row(
        "Samplers",
        [
            graph(
                "Acceptance rate",
                "The mean share of accepted proposals, by model and solver. Where steps are tuned "
                "it is 0.4 to 0.9. Near 0: chains stand still, images are noise; near 1: steps "
                "are too small and evaluations wasted.",
                "percentunit",
                mean(
                    histogram, SOLVER, "model, solver", "$__rate_interval", "{{model}} {{solver}}"
                ),
                limits=below(0.3, 0.15),
                top=1,
            ),
            spread(
                "Acceptance rates",
                "Of single images. A band at the bottom: somebody chose steps that are too large; "
                "their images are poor, and nobody else's are.",
                "percentunit",
                histogram,
                SOLVER,
            ),
            graph(
                "Acceptance rate, worst tenth",
                "One image in ten accepts less than this. Near 0 while the mean is well: single "
                "images are stuck; see which request it was and its step size.",
                "percentunit",
                quantile(0.1, histogram, SOLVER, "model, solver"),
                limits=below(0.15, 0.05),
                top=1,
            ),
        ],
    )


def _flagged(window: str, legend: str, by: str = "model") -> Query:
    """Return the share of judged images that were flagged, which is 0 where none ever was."""
    flagged, judged = (
        f"sum by ({by}) (rate({series}[{window}]))" for series in (_FLAGGED, _JUDGED)
    )
    return Query(f"({flagged} or 0 * {judged}) / {judged}", legend)
