"""A job and an outcome of every form, as the released bytes in `released/` hold them.

Nothing here is made by other code of the tests or of the service, so that what released bytes mean
never changes with it. Every field differs from its default.
"""

from dataclasses import replace

import numpy as np

from models.anomaly.calibration import Calibration
from models.anomaly.density import Component, Density
from models.anomaly.pictures import PictureReference
from models.anomaly.ranked import Preprocessing, Source
from models.anomaly.readings import Reading
from models.preprocessing.tiles import Tiling
from models.schema.preprocessing import PictureRule, Scale, Size
from models.schema.scores import Score
from models.schema.specs import Adams, Ddpm, FlowPath, RtkMala
from service import errors
from service.jobs import Job, Outcome, Task
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.kinds.samples.task import SampleResult, SampleTask
from service.kinds.schedules.task import ScheduleResult, ScheduleTask, Tabulation

IMAGES = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3, 1)
MAP = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3, 1)
CALIBRATION = Calibration(
    checkpoint="c" * 64,
    solver=FlowPath(probes=2, steps=12, fresh=4),
    seed=5,
    preprocessing=Preprocessing(
        image_shape=(2, 3, 1), vocabulary=17, codec="webp", codec_bits=(1304, 2192)
    ),
    density_images=Source(images=50, failed=1, sha256="d" * 64),
    calibration_images=Source(images=21, failed=1, sha256="e" * 64),
    mean_nll=12.5,
    density=Density(
        names=("log_prior", "log_det"),
        mean=(-3.5, 4.25),
        scale=(1.5, 2.5),
        components=(
            Component(log_weight=0.0, mean=(0.5, -0.5), whitening=((1.0, 0.0), (0.25, 2.0))),
        ),
    ),
    scores=tuple(index / 4 for index in range(20)),
    command="mulan models calibrate",
)


def _job(task: Task) -> Job:
    return Job(
        id="0123456789abcdef",
        checkpoint="c" * 64,
        task=task,
        deadline=1_700_000_120.5,
        created_at=1_700_000_000.25,
        owner="somebody",
        priority=-1,
        model="digits",
        cost=39,
        request_id="a-request",
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


TILING = Tiling(
    PictureRule(
        mode="grey",
        ground=(1, 2, 3),
        size=Scale(factor=0.5, filter="bicubic"),
        tile=(2, 3),
        stride=(1, 2),
        edges="crop",
        levels=17,
    ),
    (Size(4, 7), Size(6, 7)),
)
PICTURES = PictureReference(
    rule=TILING.rule.digest,
    aggregate="mean",
    pictures=3,
    failed=1,
    sha256="f" * 64,
    density_pictures=2,
    density_sha256="a" * 64,
    same_source=True,
    scores=(0.5, 1.5),
)

JOBS: dict[str, Job] = {
    "samples": _job(
        SampleTask(
            Ddpm(steps=3, grid="time", power=2.0, points=(0.75, 0.25)), 2**53 - 1, 2, latent=(1, 3)
        )
    ),
    "samples-callback": replace(
        _job(SampleTask(Ddpm(steps=3), 7, 1)), callback_url="https://hooks.example.com/done"
    ),
    "samples-rtk": _job(
        SampleTask(
            RtkMala(segments=2, inner_steps=2, step_sizes=(0.5, 0.25), energy="simpson"), 7, 1
        )
    ),
    "likelihoods": _job(
        ScoreTask(
            Adams(
                probes=3, tolerance_nats=0.25, max_evaluations=99, trace="exact", latent="sampled"
            ),
            seed=1,
            draws=4,
            images=IMAGES,
        )
    ),
    "anomalies": _job(AnomalyTask(CALIBRATION, 6, alpha=0.125, heatmap=True, images=IMAGES)),
    "anomalies-photographs": _job(
        AnomalyTask(
            CALIBRATION.model_copy(update={"pictures": PICTURES}),
            6,
            alpha=0.125,
            heatmap=True,
            images=IMAGES,
            tiling=TILING,
            tiles=True,
        )
    ),
    "anomalies-selected": _job(
        AnomalyTask(
            CALIBRATION, 6, alpha=0.125, heatmap=True, images=IMAGES, fdr=0.25, source="line-1"
        )
    ),
    "samples-classes": _job(SampleTask(Ddpm(steps=3), 7, 3, labels=(4, 0, 4))),
    "likelihoods-classes": _job(ScoreTask(Adams(), seed=1, draws=4, images=IMAGES, labels=(2, 9))),
    "anomalies-class": _job(
        AnomalyTask(
            CALIBRATION.model_copy(update={"solver": FlowPath(steps=12, class_label=3)}),
            *(6, 0.125, True, IMAGES),
        )
    ),
    "anomalies-fresh-probes": _job(
        AnomalyTask(
            CALIBRATION.model_copy(update={"solver": FlowPath(steps=12, probing="fresh")}),
            *(6, 0.125, True, IMAGES),
        )
    ),
    "likelihoods-photographs": _job(
        ScoreTask(Adams(), seed=1, draws=4, images=IMAGES, tiling=TILING, tiles=True)
    ),
    "schedules": _job(
        ScheduleTask(
            Tabulation(points=33), latents=((1, 3), (0, 2)), images=IMAGES[:0], tiling=None
        )
    ),
    "schedules-photographs": _job(
        ScheduleTask(Tabulation(points=33), latents=(), images=IMAGES, tiling=TILING)
    ),
}


def _failed(error: errors.ServiceError) -> errors.ServiceError:
    error.job = "0123456789abcdef"
    return error


OUTCOMES: dict[str, Outcome] = {
    "samples": SampleResult(IMAGES, (3, 4), (None, 0.5), ((1, 3), (0, 2)), "cpu/test"),
    "likelihoods": ScoreResult(
        (
            Score(95, -1.5, -2.5, 3.5, 0.25, 0.125, 0.0625, -4.5, 5.5, -6.5, -7.5),
            Score(99, reason="the limit on evaluations was reached"),
        ),
        "cpu/test",
    ),
    "anomalies": AnomalyResult(
        (
            Reading(17, {"log_prior": -2.5, "log_det": 1.25}, MAP),
            Reading(4, reason="the solution stopped being finite"),
        ),
        "cpu/test",
    ),
    "likelihoods-classes": ScoreResult(
        (
            Score(
                *(190, None, -2.5, 3.5, None, None, 0.0625, -4.5, 5.5, -6.5, -0.5),
                log_px_given_class=(-1.5, -9.25),
            ),
        ),
        "cpu/test",
    ),
    "schedules": ScheduleResult(((1, 3), (0, 2)), np.stack([[MAP] * 3] * 2), "cpu/test"),
    "error": _failed(errors.ComputationFailed("2 of 3 images failed")),
    "error-cancelled": _failed(errors.JobCancelled("the job was cancelled")),
    "error-fields": _failed(errors.InvalidRequest.at("seed", "is odd")),
    "error-retry": _failed(errors.QueueFull("256 jobs wait", 9)),
}
