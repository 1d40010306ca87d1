"""A recipe as a TOML file in which every key is explained."""

import json
import textwrap
from typing import Any

from pydantic import BaseModel

from models.schema.mulan import MulanConfig
from models.schema.preprocessing import PictureRule
from models.training.recipe import DataSettings, Optimisation, Recipe

_WIDTH = 98


def recipe_text(recipe: Recipe, notes: list[str]) -> str:
    """Return a recipe as TOML, `notes` first as comments, each key below its description."""
    blocks = [*_comment("\n".join(notes)), "", f"name = {_value(recipe.name)}"]
    for section in ("data", "preprocessing", "model", "optimisation"):
        settings = getattr(recipe, section)
        if settings is not None:
            blocks += ["", f"[{section}]", *_section(settings)]
    return "\n".join(blocks) + "\n"


def reference() -> str:
    """Return a table of every key of a recipe, in Markdown."""
    sections: dict[str, type[BaseModel]] = {
        "data": DataSettings,
        "preprocessing": PictureRule,
        "model": MulanConfig,
        "optimisation": Optimisation,
    }
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines.append(f"| `name` | | {Recipe.model_fields['name'].description} |")
    for section, settings in sections.items():
        for name, field in settings.model_fields.items():
            if field.exclude:
                continue
            given = field.get_default(call_default_factory=True)
            default = "" if field.is_required() or given is None else f"`{_value(given)}`"
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{section}.{name}` | {default} | {meaning} |")
    return "\n".join(lines)


def _section(settings: BaseModel) -> list[str]:
    lines: list[str] = []
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        # A field that is left out of the record has its default, and is worth a line all the same.
        value = values.get(name, getattr(settings, name))
        if value is not None and not field.exclude:
            lines += [*_comment(field.description or ""), f"{name} = {_value(value)}"]
    return lines


def _comment(text: str) -> list[str]:
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, _WIDTH) or [""]]
    return [f"# {line}".rstrip() for line in lines]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_value(one)}' for name, one in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
