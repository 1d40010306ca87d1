"""The strange places of an image or a photograph: its regions, and its heat as it was asked for."""

import base64

from models.anomaly.heatmap import Heatmap
from models.anomaly.overlay import overlay
from models.schema.preprocessing import Size
from service.jobs import Tokens
from service.kinds.anomalies.contract import Region
from service.kinds.anomalies.task import AnomalyTask


def regions(task: AnomalyTask, heat: Heatmap | None, size: Size) -> tuple[Region, ...] | None:
    """Return the hot regions in pixels of a photograph, or image, of `size`; None where there
    is no heat, or the calibration knows no regions."""
    found = None if heat is None else task.calibration.regions(heat)
    if heat is None or found is None:
        return None
    scaled = Size(*heat.values.shape)
    boxes = [(region.enlarged(scaled, size), p_value) for region, p_value in found]
    return tuple(
        Region(x=box.x, y=box.y, width=box.width, height=box.height, area=box.area, p_value=p_value)
        for box, p_value in boxes
    )


def heatmap(task: AnomalyTask, heat: Heatmap | None, tokens: Tokens, size: Size) -> str | None:
    """Return heat `[H, W]` of an image `[H, W, C]` in the form that was asked for, as base64, of
    `size`; None where it was not asked for or is not known."""
    if heat is None or not task.heatmap:
        return None
    if task.heatmap == "overlay":
        drawn = overlay(tokens, task.calibration.preprocessing.vocabulary, heat, size)
    else:
        enlarged = heat.enlarged(size)
        drawn = enlarged.npy() if task.heatmap == "raw" else enlarged.png()
    return base64.b64encode(drawn).decode()
