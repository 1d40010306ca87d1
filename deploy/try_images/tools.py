"""Programs of Debian that the trial calls."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PACKAGES = {
    "buildah": "buildah",
    "runc": "runc",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "dnsmasq": "dnsmasq-base",
    "tini-static": "tini",
}
STAND_IN_PACKAGES = {"mmdebstrap": "mmdebstrap"}


class TrialError(Exception):
    """Says why the trial cannot go on."""


def require(packages: dict[str, str]) -> None:
    """Raise TrialError if programs are missing, with the packages that bring them."""
    missing = [package for name, package in packages.items() if shutil.which(name) is None]
    if missing:
        raise TrialError(f"programs are missing: apt-get install {' '.join(missing)}")


def output(
    command: Sequence[str | Path], *, timeout_s: float | None = None, shown: bool = False
) -> str:
    """Run a program and return what it printed, or show that at once. Raises TrialError with its
    last line."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=None if shown else subprocess.PIPE,
            stderr=None if shown else subprocess.PIPE,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise TrialError(f"{words[0]} did not end within {timeout_s} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout or "").strip().splitlines() or ["see above"]
        raise TrialError(f"`{' '.join(words[:8])}` ended with {done.returncode}: {said[-1]}")
    return done.stdout or ""
