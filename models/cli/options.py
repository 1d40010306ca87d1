"""What every command of the workshop shares: its options, and how it prints and fails."""

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
    help="Where the divided images lie, if not under their recorded name; or a folder that holds "
    "all that is recorded.",
)
test_data = click.option("--test-data", help="Where the separate test images lie, likewise.")
drawings = click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for all that is drawn; a run that was killed goes on from there.",
)


class Finite(click.FloatRange):
    """A range that NaN and infinity are not in."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Raises click.BadParameter."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no number", param, ctx)
        return found


def of_spec(
    spec: type[BaseModel],
) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """What refuses an option's value that the parameter of its name in `spec` would not take."""

    def check(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            spec.model_validate({parameter.name: value})
        except ValidationError as error:
            raise click.BadParameter(error.errors()[0]["msg"]) from error
        return value

    return check


def one_line_errors(command: Command) -> Command:
    """Turn the package's own errors, and the operating system's, into one line and exit code 1."""

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
