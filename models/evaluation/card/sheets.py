"""The contact sheets of a card: one of each sampler that it shows."""

from collections.abc import Sequence

from models.evaluation.samples.sweep import Tuning
from models.schema.manifest import Manifest
from models.schema.specs import SamplerSpec, sampler_spec
from models.solvers import SAMPLERS

SHEET_EVALUATIONS = 20


def sheet_file(name: str) -> str:
    """Return the file name of a sampler's contact sheet."""
    return f"samples-{name}.png"


def sheets_to_draw(manifest: Manifest) -> list[SamplerSpec]:
    """Every registered sampler as tuned for 20 evaluations; one that was not tuned, as it comes."""
    tuned: dict[str, SamplerSpec] = {spec.name: spec for spec in tuned_sheets(manifest)}
    return [tuned.get(name) or sampler_spec(name) for name in SAMPLERS]


def tuned_sheets(manifest: Manifest) -> list[SamplerSpec]:
    """Each sampler that the tuning measured, as tuned for 20 evaluations."""
    if not manifest.tuning:
        return []
    sweep = Tuning.model_validate(manifest.tuning).sweep
    rows = [sweep.at(SHEET_EVALUATIONS, name) for name in SAMPLERS]
    return [row.solver for row in rows if row is not None]


def sheet_table(manifest: Manifest, sheets: Sequence[SamplerSpec]) -> str:
    """Return the sheets side by side under a heading, Markdown."""
    tuned = {spec.name for spec in tuned_sheets(manifest)}
    names = [spec.name for spec in sheets]
    how = f"as tuned for {SHEET_EVALUATIONS} evaluations" if tuned else "as it comes"
    heads = [
        f"`{name}`" if name in tuned or not tuned else f"`{name}`, as it comes" for name in names
    ]
    rows = [
        f"## Every sampler {how}\n",
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(names),
        "| " + " | ".join(f"![{name}]({sheet_file(name)})" for name in names) + " |",
    ]
    return "\n".join(rows)
