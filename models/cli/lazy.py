"""Commands whose help needs neither torch nor an optional package.

A command is declared in `models/cli`, with its options and its help. Its action, a function in
`models/cli/actions`, is imported when the command runs.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import click

from models.cli.options import emit, one_line_errors
from models.files import extras


class Outcome(NamedTuple):
    """The result of a command: the JSON object that `--json` prints, or the text printed
    otherwise."""

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
    """Make the decorated function, which has only a docstring, run the function at `place`.

    `place` is "module:attribute". That function takes the command's parameters without `--json` and
    returns an Outcome, which is printed. Errors of this package, a missing optional package among
    them, are printed as one line.
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
    """Return a callback for an option that calls the function at `place` when a value is parsed."""

    def call(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        return _at(place)(context, parameter, value)

    return call


def _at(place: str) -> Callable[..., Any]:
    module, attribute = place.split(":")
    function: Callable[..., Any] = getattr(extras.module(module), attribute)
    return function
