"""Help, listing and the documented Python API need no more than `make run` installs."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from models.cli import models
from models.cli.lazy import runs
from models.files import extras
from service.cli import main

REPOSITORY = Path(__file__).parents[3]
# In a process of its own, since this one has imported them all. The packages that extras bring are
# as good as not installed, and those named on the command line too.
BLOCKED = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{*{[*extras.EXTRAS]!r}, *sys.argv[1:]}}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""
EVERY_HELP = """
import click
from click.testing import CliRunner
from service.cli import main

def paths(command, path):
    yield path
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from paths(command.get_command(click.Context(command), name), [*path, name])

for path in paths(main, []):
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0, (path, result.output, result.exception)
    print("mulan", *path)
for words in (["list", "--json"], ["show", "digits"]):
    result = CliRunner().invoke(main, ["models", *words])
    assert result.exit_code == 0, (words, result.output, result.exception)
"""

EVERY_COMMAND = """
from service.cli import main

for words in {commands!r}:
    try:
        main(["models", *words])
    except SystemExit as end:
        print(end.code)
"""


def python(code: str, *blocked: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *blocked],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group, with its path."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_help_and_listing_need_no_extra_and_no_torch() -> None:
    done = python(EVERY_HELP, "torch")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert {"mulan", "mulan models", "mulan models evaluate", "mulan jobs dead"} <= {*shown}
    assert {f"mulan {' '.join(path)}" for path, _ in commands(main)} <= {*shown}


def test_the_documented_python_runs_as_it_stands_and_needs_no_extra() -> None:
    text = (REPOSITORY / "docs" / "official-checkpoints.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = python(f"{example}\nassert draw.log_p.shape == (2,)")
    assert done.returncode == 0, done.stderr


def test_a_command_without_its_extra_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"sample_size": 32}')
    (tmp_path / "scheduler_config.json").write_text('{"_class_name": "DDPMScheduler"}')
    given = ["import", "--diffusers", str(tmp_path), "--out", str(tmp_path / "never")]
    lacking = (
        (given, "diffusers", "diffusers"),
        (["evaluate", "likelihood", "digits"], "matplotlib", "workshop"),
        (["train", "digits", "--out", "never"], "sklearn", "workshop"),
        (["export", "onnx", "digits", "--out", "never"], "onnx", "onnx"),
    )
    done = python(EVERY_COMMAND.format(commands=[words for words, _, _ in lacking]))
    assert done.stdout.splitlines() == ["1"] * len(lacking), done.stderr
    assert done.stderr == "".join(
        f"Error: {package} is not installed; in the clone, run `make .venv/.dev` or "
        f"`pip install -e '.[{extra}]'`\n"
        for _, package, extra in lacking
    )


def test_an_installed_package_is_named_by_its_name() -> None:
    assert extras.installation("onnx", clone=False) == "run `pip install 'mulan-serve[onnx]'`"


def test_only_what_an_extra_brings_is_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("import no_such_package_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        extras.module("broken_module")


def test_an_action_takes_what_its_command_gives() -> None:
    checked = set()
    for path, command in commands(models):
        place = getattr(command.callback, "place", None)
        if place is None:
            continue
        module, name = place.split(":")
        taken = inspect.signature(getattr(extras.module(module), name)).parameters
        given = {
            option.name
            for option in command.params
            if not isinstance(option, click.Option) or option.expose_value
        }
        assert {*taken} == given - {"as_json"}, path
        checked.add(path[0])
    assert checked == {
        "new",
        "prepare",
        "push",
        "import",
        "export",
        "graphs",
        "train",
        "tune",
        "tune-steps",
        "calibrate",
        "evaluate",
    }


def test_the_mixtures_offered_are_those_studied() -> None:
    result = CliRunner().invoke(models, ["evaluate", "mog", "--target", "none", "--out", "never"])
    study = extras.module("models.evaluation.mixtures.study")
    assert result.exit_code == 2
    for target in study.TARGETS:
        assert repr(target.name) in result.output


def test_an_action_runs_when_its_command_does() -> None:
    @runs("no.such.module:function")
    def never() -> None:
        """Never run."""

    assert never.__doc__ == "Never run."
    with pytest.raises(ModuleNotFoundError):
        never(as_json=False)
