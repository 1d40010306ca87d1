"""Checkpoints are found among whatever lies in a folder."""

import os
import shutil
from pathlib import Path

import pytest
from tiny_zoo import write_checkpoint

from models.files.shelf import find, folders, manifests
from models.schema.errors import CheckpointError
from models.schema.manifest import MANIFEST, MOST_BYTES, Manifest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two good ones, two bad ones, and what is none."""
    root = tmp_path / "root"
    for name in ("first", "last"):
        write_checkpoint(root / name)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    write_checkpoint(tmp_path / "elsewhere")
    for name in ("hanging", "huge", "notes", "__pycache__", ".copy.7.partial"):
        (root / name).mkdir()
    os.mkfifo(root / "hanging" / MANIFEST)
    (root / "huge" / MANIFEST).write_bytes(b" " * (MOST_BYTES + 1))
    (root / ".copy.7.partial" / MANIFEST).write_text("{}")
    (root / "broken").symlink_to("nowhere")
    (root / "README.md").write_text("text")
    os.mkfifo(root / "pipe")
    return root


def test_what_may_be_a_checkpoint(root: Path) -> None:
    names = ["broken", "first", "hanging", "huge", "last", "linked", "notes"]
    assert folders(root) == [root / name for name in names]
    assert folders(root / "nowhere") == folders(root / "README.md") == []


def test_manifests_come_with_what_is_wrong_with_others(root: Path) -> None:
    found = {folder.name: what for folder, what in manifests(root)}
    assert list(found) == ["first", "hanging", "huge", "last", "linked"]
    for name in ("first", "last", "linked"):
        assert isinstance(found[name], Manifest)
    assert str(found["hanging"]) == f"{root / 'hanging' / MANIFEST}: not a regular file"
    assert str(found["huge"]) == f"{root / 'huge' / MANIFEST}: more than {MOST_BYTES} bytes"


def test_a_bad_one_hides_itself_alone(root: Path) -> None:
    assert find("last", root)[0] == root / "last"
    assert find(str(root / "first"), root)[1].name == "first"
    for name in ("hanging", "huge"):
        with pytest.raises(CheckpointError, match=name):
            find(name, root)
        with pytest.raises(CheckpointError, match=name):
            find(str(root / name), root)
    with pytest.raises(CheckpointError, match="available: first, last, elsewhere"):
        find("notes", root)


def test_a_name_of_two_checkpoints_is_refused_and_each_can_be_named(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    shutil.copytree(root / "first", here / "first")
    monkeypatch.chdir(here)
    with pytest.raises(CheckpointError, match=r"write \./first or .*first"):
        find("first", root)
    assert find("./first", root)[0].samefile(here / "first")
    assert find(str(root / "first"), root)[0].samefile(root / "first")
    (here / "notes").mkdir()
    with pytest.raises(CheckpointError, match=r"the folder notes has no manifest\.json; available"):
        find("notes", root)
    monkeypatch.chdir(root)
    assert find("first", root)[0].samefile(root / "first")
