"""A click group whose commands are imported when they are called: help and listing stay quick,
and a process that never trains never imports what training needs."""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """`commands_at` maps a command's name to "module:attribute"; `extra` is the set of optional
    packages that they need."""

    def __init__(
        self, *, commands_at: Mapping[str, str], extra: str = "workshop", **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._commands_at, self._extra = commands_at, extra

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._commands_at, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._commands_at:
            return super().get_command(ctx, cmd_name)
        module, attribute = self._commands_at[cmd_name].split(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"{error.name} is missing; this needs pip install 'mulan-serve[{self._extra}]'"
            ) from error
        return command
