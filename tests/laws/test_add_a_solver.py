"""The recipe for a new sampler in CONTRIBUTING, followed to the letter in a copy of the tree.

Its two templates, one evaluation a step and two, are registered there. Then the copy's own tests
take them through the laws, the engine, the tuning, a card, and a service that is asked for them.
"""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SPECS = "models/schema/specs.py"
REGISTRY = Path("models/solvers/__init__.py")
COPIED = ("loadtests", "models", "service", "tests")
TOYS = {"euler": "EulerSolver", "heun": "HeunSolver"}
# A wrong edit of each template, which its law must catch.
WRONG_TOYS = """
import pytest
from image_laws import images_converge
from mutations import Edit, mutated

from models.schema.specs import sampler_spec


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("euler", "(eps - here.sigma * state.x)", "(eps - state.x)"),
        ("heun", "step + second", "step"),
        ("heun", "(state.eps + answer.eps) / 2", "answer.eps"),
    ],
)
def test_a_wrong_template_breaks_its_law(name: str, right: str, wrong: str) -> None:
    with mutated(Edit(name, right, wrong)) as solvers, pytest.raises(AssertionError):
        images_converge(solvers[name], sampler_spec(name))
"""
# For every template, at least one test of each of these modules must have passed.
ASKED = (
    "tests/laws/test_solver_laws.py",
    "tests/laws/test_limit_laws.py",
    "tests/laws/test_wrong_toys.py",
    "tests/service/engine/test_engine.py",
    "tests/service/engine/test_lane.py",
    "tests/models/evaluation/test_sweep.py",
    "tests/e2e/test_every_sampler.py",
)
SHIPPED = "digits"
# These look at every sampler at once.
CARDS = (
    "tests/models/evaluation/test_card.py::test_every_picture_the_card_shows_is_there",
    f"tests/e2e/test_shipped_checkpoints.py::test_a_folder_is_small_and_its_card_complete[{SHIPPED}]",
)


def recipe() -> dict[str, list[str]]:
    """The code blocks of the section, by the file that their first line names."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.split("## Add a solver")[1], flags=re.MULTILINE)[0]
    blocks: dict[str, list[str]] = defaultdict(list)
    for path, code in re.findall(r"```python\n# (\S+)\n(.*?)```", section, flags=re.DOTALL):
        blocks[path].append(code)
    return blocks


def follow(root: Path) -> None:
    """Do in the tree at `root` what the section says."""
    blocks = recipe()
    specs = root / SPECS
    text = specs.read_text(encoding="utf-8")
    above = "SamplerSpec = Annotated["
    assert text.count(above) == 1
    classes = blocks.pop(SPECS)
    text = text.replace(above, "\n\n".join([*classes, above]))
    names = " | ".join(re.findall(r"^class (\w+)", "".join(classes), flags=re.MULTILINE))
    text = re.sub(r"(SamplerSpec = Annotated\[\s*[\w\s|]+)", rf"\1 | {names}", text)
    specs.write_text(text, encoding="utf-8")
    for path, (code,) in blocks.items():
        (root / path).write_text(code, encoding="utf-8")
    registry = (root / REGISTRY).read_text(encoding="utf-8")
    imports = "".join(f"from models.solvers.{name} import {toy}\n" for name, toy in TOYS.items())
    lines = "".join(f"        {toy}(),\n" for toy in TOYS.values())
    # Imports are in the order of the alphabet.
    after = "from models.solvers.levels"
    registry = registry.replace(after, f"{imports}{after}")
    registry = registry.replace("        RtkUldSolver(),\n", f"        RtkUldSolver(),\n{lines}")
    (root / REGISTRY).write_text(registry, encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree where the recipe was followed, with a link to one shipped checkpoint."""
    root = tmp_path_factory.mktemp("recipe")
    linked = shutil.ignore_patterns("zoo", "__pycache__")
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, root / name, ignore=linked)
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    zoo = Path("models", "zoo")
    (root / zoo).mkdir()
    for name in ("__init__.py", SHIPPED):
        (root / zoo / name).symlink_to(REPOSITORY / zoo / name)
    follow(root)
    (root / "tests" / "laws" / "test_wrong_toys.py").write_text(WRONG_TOYS, encoding="utf-8")
    return root


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A Python module's command in the tree, where `models` and `service` are the tree's own."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_recipe_names_every_file() -> None:
    files = {f"models/solvers/{name}.py" for name in TOYS}
    assert recipe().keys() == files | {SPECS}


def test_what_the_recipe_writes_is_as_the_linter_wants_it(tree: Path) -> None:
    written = [SPECS, str(REGISTRY), *(f"models/solvers/{name}.py" for name in TOYS)]
    for command in (("format", "--check"), ("check",)):
        done = run(tree, "ruff", *command, *written)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_sampler_that_was_added_passes_every_test(tree: Path) -> None:
    report = tree / "report.xml"
    chosen = " or ".join([*TOYS, "card"])
    arguments = ["-q", "-p", "no:cacheprovider", "-k", chosen, f"--junitxml={report}"]
    done = run(tree, "pytest", *arguments, *ASKED, *CARDS)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    cases = ET.parse(report).getroot().iter("testcase")
    passed = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
    for path in ASKED:
        module = path.removesuffix(".py").replace("/", ".")
        names = [name for where, name in passed if where == module]
        for toy in TOYS:
            assert any(toy in name for name in names), f"{path} does not try {toy}"
    assert sum("card" in name for _, name in passed) >= len(CARDS)
