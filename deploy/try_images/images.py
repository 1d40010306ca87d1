"""A store of images, which are built from the Dockerfile or stand-ins of Debian's packages."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.try_images.compose import Health
from deploy.try_images.tools import output

SUITE = "bookworm"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
WHEELS = "/wheels"


@dataclass(frozen=True)
class StandIn:
    """Debian's packages in place of an official image, with a setup and options of its config."""

    packages: str
    setup: str
    config: tuple[str, ...] = ()


STAND_INS = {
    "python": StandIn(
        "python3,python3-pip,python3-venv,python-is-python3,ca-certificates",
        "rm /usr/lib/python3*/EXTERNALLY-MANAGED",
    ),
    # The official image's Redis is compiled to take connections from anywhere without a password.
    "redis": StandIn(
        "redis-server",
        "mkdir /data && chown redis:redis /data",
        (
            *("--workingdir", "/data"),
            *("--entrypoint", '["sh", "-c", "exec \\"$0\\" \\"$@\\" --protected-mode no"]'),
        ),
    ),
    "prom/prometheus": StandIn(
        "prometheus,wget",
        "mkdir /prometheus && chown nobody:nogroup /prometheus",
        ("--entrypoint", '["prometheus"]', "--user", "nobody:nogroup"),
    ),
}


@dataclass(frozen=True)
class Image:
    """The part of an image's configuration that is about its process."""

    user: str
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    folder: str
    health: Health | None


@dataclass(frozen=True)
class Sources:
    """Places where a build finds what the Dockerfile installs, if not the usual ones."""

    base: str | None = None
    index: str | None = None
    wheels: Path | None = None
    certificates: Path | None = None

    def options(self) -> list[str]:
        """Return the options of `buildah build` for them."""
        options = ["--from", self.base] if self.base else []
        arguments: dict[str, str] = {}
        if self.index:
            arguments |= {"PIP_INDEX_URL": self.index, "UV_DEFAULT_INDEX": self.index}
        if self.wheels:
            arguments |= {"UV_FIND_LINKS": WHEELS, "CPU_TORCH": ""}
            options += ["--volume", f"{self.wheels}:{WHEELS}:ro"]
        if self.certificates:
            arguments |= {"UV_SYSTEM_CERTS": "true"}
            options += ["--volume", f"{self.certificates}:{CERTIFICATES}:ro"]
        for name, value in arguments.items():
            options += ["--build-arg", f"{name}={value}"]
        return options


def base_of(dockerfile: Path) -> str:
    """Return the image that the Dockerfile's first stage is built from."""
    found = re.search(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


class Store:
    """Images and containers of buildah in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Remove the containers that a trial left when it was killed."""
        self._buildah("rm", "--all")

    def has(self, tag: str) -> bool:
        """Tell whether an image is in the store."""
        names = self._buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()
        return any(name == tag or name.endswith(f"/{tag}") for name in names)

    def make_stand_in(self, tag: str) -> str:
        """Make an image of Debian's packages that bears an official tag; its size."""
        stand_in = STAND_INS[tag.partition(":")[0]]
        files = self.folder / "stand-in.tar"
        output(
            [
                "nice",
                "mmdebstrap",
                "--variant=minbase",
                f"--include={stand_in.packages}",
                SUITE,
                files,
            ]
        )
        try:
            with self.container("scratch") as name:
                self._buildah("add", "--quiet", name, files, "/")
                self._buildah(
                    "run", "--isolation", "chroot", name, "--", "sh", "-c", stand_in.setup
                )
                marks = ["--env", f"PATH={PATH}", "--label", f"stand-in={SUITE}"]
                self._buildah("config", *stand_in.config, *marks, name)
                full = tag if "/" in tag else f"library/{tag}"
                self._buildah("commit", "--quiet", name, f"docker.io/{full}")
        finally:
            files.unlink(missing_ok=True)
        return self.size(tag)

    def build(self, tag: str, target: str, context: Path, sources: Sources) -> str:
        """Build a target of the Dockerfile, and return its size."""
        # Of the two formats only Docker's has health checks.
        command = ["build", "--isolation", "chroot", "--format", "docker", "--pull=false"]
        command += ["--no-cache", "--force-rm", "--target", target, "--tag", tag]
        self._buildah(*command, *sources.options(), context, shown=True)
        self._buildah("rmi", "--prune")
        return self.size(tag)

    def size(self, tag: str) -> str:
        """Return the size of an image without compression."""
        return f"{self._buildah('images', '--format', '{{.Size}}', tag).strip()}, not compressed"

    def image(self, tag: str) -> Image:
        """Return what an image says about its process."""
        said = self._buildah("inspect", "--type", "image", tag)
        return read_image(json.loads(said)["Docker"]["config"])

    @contextmanager
    def container(self, tag: str) -> Iterator[str]:
        """Hold a writable copy of an image."""
        name = self._buildah("from", "--quiet", tag).strip()
        try:
            yield name
        finally:
            self._buildah("rm", name)

    def mount(self, container: str) -> Path:
        """Return the folder in which a container's files are."""
        return Path(self._buildah("mount", container).strip())

    def _buildah(self, *arguments: str | Path, shown: bool = False) -> str:
        roots: list[str | Path] = [
            "--root",
            self.folder / "images",
            "--runroot",
            self.folder / "run",
        ]
        return output(["nice", "buildah", *roots, *arguments], shown=shown)


def read_image(config: Mapping[str, Any]) -> Image:
    """Read an image's configuration in Docker's form, whose times are in nanoseconds."""
    check = config.get("Healthcheck")
    return Image(
        user=config.get("User") or "0:0",
        environment=dict(entry.split("=", 1) for entry in config.get("Env") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        folder=config.get("WorkingDir") or "/",
        health=check and _health(check),
    )


def _health(check: Mapping[str, Any]) -> Health:
    kind, *command = check["Test"]
    assert kind == "CMD"
    return Health(
        tuple(command),
        check["Interval"] / 1e9,
        check["Timeout"] / 1e9,
        check.get("StartPeriod", 0) / 1e9,
        check["Retries"],
    )
