"""Commands that import what they compute with only when they run.

A command is declared in `models/cli`, with its options and its help, and needs neither torch nor an
optional package. Its action, a function in `models/cli/actions`, is imported when the command runs.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import click

from models.cli.options import emit, one_line_errors
from models.files import extras


class Outcome(NamedTuple):
    """The result of a command: the JSON object that `--json` prints, and the text printed else."""

    record: dict[str, Any]
    text: str


class LazyGroup(click.Group):
    """A group of commands, each imported when it is looked up.

    `commands_at` maps a command's name to "module:attribute".
    """

    def __init__(self, *, commands_at: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self._commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._commands_at, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._commands_at:
            return super().get_command(ctx, cmd_name)
        module, attribute = self._commands_at[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


def runs(place: str) -> Callable[[Callable[[], None]], Callable[..., None]]:
    """Make the decorated function, which has a docstring alone, run the one at `place`,
    "module:attribute".

    That one is imported then, takes the command's parameters, all but `--json`, and returns an
    Outcome, which is printed. Errors become one line, a missing optional package among them.
    """

    def decorate(declared: Callable[[], None]) -> Callable[..., None]:
        @one_line_errors
        @functools.wraps(declared)
        def run(*, as_json: bool, **parameters: Any) -> None:
            outcome: Outcome = _at(place)(**parameters)
            emit(outcome.record, outcome.text, as_json)

        run.__dict__["place"] = place
        return run

    return decorate


def parsed(place: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Make an option's callback of the function at `place`, imported when a value is parsed."""

    def call(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        return _at(place)(context, parameter, value)

    return call


def _at(place: str) -> Callable[..., Any]:
    module, attribute = place.split(":")
    function: Callable[..., Any] = getattr(extras.module(module), attribute)
    return function
