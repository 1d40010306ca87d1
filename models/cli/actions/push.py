"""`mulan models push`."""

import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from models.anomaly.kept import read_calibration
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.lazy import Outcome
from models.files.folders import replacing_folder
from models.files.shelf import manifests
from models.schema.errors import CheckpointError, PushError
from models.schema.manifest import Manifest
from models.schema.presets import presets

# Seconds that a service may take to load a checkpoint.
WITHIN_S = 600.0


def push(folder: Path, root: Path, url: str | None) -> Outcome:
    """Put a checkpoint into the models folder `root`, and have the service at `url` load it."""
    if url is not None:
        _check_address(url)
    manifest = load_checkpoint(folder).manifest
    presets(manifest)
    read_calibration(folder, manifest)
    target = _place_of(manifest, root)
    if folder.resolve() != target.resolve():
        with replacing_folder(target) as partial:
            shutil.copytree(folder, partial, dirs_exist_ok=True)
    record = {"name": manifest.name, "checkpoint": manifest.sha256, "folder": str(target)}
    text = f"{manifest.name} {manifest.sha256:.12} is in {target}"
    if url is None:
        return Outcome({**record, "loaded": None}, text)
    loaded = _load(manifest.name, url)
    if loaded.get("checkpoint") != manifest.sha256:
        raise PushError(
            f"the checkpoint is in {target}, but {url} loaded another of this name, "
            f"{loaded.get('checkpoint')!s:.12}: is --models the folder that it serves?"
        )
    failures = "".join(f"; not by {line}" for line in loaded.get("failures", ()))
    return Outcome(
        {**record, "loaded": loaded},
        f"{text}, loaded by {loaded.get('workers')} worker(s){failures}",
    )


def _place_of(manifest: Manifest, root: Path) -> Path:
    """Return the folder of the checkpoint that has this name, or that a new one gets."""
    found = [
        folder
        for folder, other in manifests(root)
        if not isinstance(other, CheckpointError) and other.name == manifest.name
    ]
    if len(found) > 1:
        both = " and ".join(folder.name for folder in found)
        raise CheckpointError(f"{both} are both called {manifest.name}: leave one of them")
    if not found and (root / manifest.name).exists():
        raise CheckpointError(
            f"{root / manifest.name} exists and holds another checkpoint, or none"
        )
    return found[0] if found else root / manifest.name


def _load(name: str, url: str) -> dict[str, Any]:
    """Ask the service to load a model, and return its answer. Raises PushError."""
    key = os.environ.get("MULAN_API_KEYS", "").split(",")[0].strip()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"{url.rstrip('/')}/v2/repository/models/{urllib.parse.quote(name)}/load"
    try:
        request = urllib.request.Request(address, b"", headers, method="POST")
        with urllib.request.urlopen(request, timeout=WITHIN_S) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise PushError(f"the checkpoint is in place, but not loaded: {_why(error)}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise PushError(
            f"the checkpoint is in place, but {url} was not reached: {reason}"
        ) from error


def _check_address(url: str) -> None:
    """Raise PushError for what is no address of a service."""
    try:
        parts = urllib.parse.urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise PushError(f"{url} is no address of a service, as http://127.0.0.1:8000")


def _why(error: urllib.error.HTTPError) -> str:
    """Return what the service says of an error, in one line."""
    try:
        told = json.load(error)
        return f"{error.code} {told.get('detail') or told.get('error')}"
    except (ValueError, AttributeError, OSError):
        return f"{error.code} {error.reason}"
