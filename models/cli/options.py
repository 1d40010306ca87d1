"""Options that the commands share, and how they print results and errors."""

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from pydantic import BaseModel, ValidationError

from models.schema.errors import ModelError
from models.zoo import ZOO

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
root = click.option(
    "--models",
    "root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="MULAN_MODELS",
    default=ZOO,
    show_default="the shipped ones",
    help="Folder of checkpoint folders.",
)
data = click.option(
    "--data",
    help="Path of the divided images, if it is not their recorded name, or a folder with all "
    "recorded files.",
)
test_data = click.option(
    "--test-data", help="Path of the separate test images, if it is not their recorded name."
)
drawings = click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps the drawn images, from which a run that was killed resumes.",
)


class Finite(click.FloatRange):
    """A range of numbers without NaN and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert the value. Raises click.BadParameter."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number", param, ctx)
        return found


def of_spec(
    spec: type[BaseModel],
) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a callback that refuses an option's value where `spec` refuses the parameter of its
    name."""

    def check(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            spec.model_validate({parameter.name: value})
        except ValidationError as error:
            raise click.BadParameter(error.errors()[0]["msg"]) from error
        return value

    return check


def one_line_errors(command: Command) -> Command:
    """Make a command print errors of this package and of the operating system as one line.

    The exit code is then 1.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ModelError as error:
            raise click.ClickException(" ".join(str(error).splitlines())) from error
        except OSError as error:
            line = f"{error.filename or command.__name__}: {error.strerror or error}"
            raise click.ClickException(line) from error

    return cast(Command, wrapped)


def emit(record: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the record as JSON, or the text."""
    click.echo(json.dumps(record) if as_json else text)
