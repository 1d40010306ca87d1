"""Learned noise schedules: POST /v1/schedules."""

from service.kind import Kind
from service.kinds.schedules import examples
from service.kinds.schedules.answer import BINARIES, answer
from service.kinds.schedules.contract import (
    ScheduleParameters,
    ScheduleRequest,
    ScheduleResponse,
)
from service.kinds.schedules.task import ScheduleResult, ScheduleTask, make, quote

KIND = Kind(
    package=__name__,
    summary="Show noise schedules and wait",
    description="The noise schedule that the model learned: gamma, the log noise-to-signal ratio, "
    "over the diffusion time and in every pixel, for latents by their indices or as encoded from "
    "images. No network evaluation is made but the encoder's. A model without a latent has one "
    "schedule, a straight line.",
    request=ScheduleRequest,
    parameters=ScheduleParameters,
    least_images=0,
    response=ScheduleResponse,
    task=ScheduleTask,
    result=ScheduleResult,
    quote=quote,
    make=make,
    answer=answer,
    slow=True,
    binaries=BINARIES,
    examples=examples.SCHEDULES,
)
