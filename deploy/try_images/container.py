"""One container, from its start to its exit, by runc."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from deploy.try_images import bundle
from deploy.try_images.compose import Health, Service
from deploy.try_images.images import Image
from deploy.try_images.network import RESOLVER, Network
from deploy.try_images.tools import TrialError, output

# Seconds between two health checks of a start: fewer than Compose's, to measure the start.
LOOK_S = 2.0


class Container:
    """A service's process, in namespaces of its own, on files of its own.

    The process that makes one has to be the first of its PID namespace: it is what an ended
    container's exit code is told to.
    """

    def __init__(
        self, name: str, number: int, service: Service, image: Image, files: Path, work: Path
    ) -> None:
        """Take the mounted image in `files`, and a folder for what the container needs beside."""
        self.name, self.number, self.service, self.files = name, number, service, files
        self.health: Health | None = service.health or image.health
        self.user = bundle.user_of(service, image, files)
        self._folder = work / name
        self._runtime = ["runc", "--root", str(work / "runc")]
        self._folder.mkdir()
        config = bundle.configuration(service, image, files, self.user, name, self._mounts())
        (self._folder / "config.json").write_text(json.dumps(config))

    def start(self, network: Network) -> None:
        """Start the process, on the network from its first instruction."""
        create = [*self._runtime, "create", "--bundle", str(self._folder), self.name]
        with self.log.open("ab") as log:
            made = subprocess.run(
                create, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if made.returncode:
            raise TrialError(f"{self.name} cannot be made; {self.said()}")
        self.pid = int(json.loads(output([*self._runtime, "state", self.name]))["pid"])
        network.join(self.pid, self.number)
        self.started = time.monotonic()
        output([*self._runtime, "start", self.name])

    @property
    def log(self) -> Path:
        """Return the file of what the process writes."""
        return self._folder / "log"

    def run(self, *command: str, timeout_s: float = 10) -> str:
        """Run a command in the container as its user, and return its output. Raises TrialError."""
        return output([*self._runtime, "exec", self.name, *command], timeout_s=timeout_s)

    def wait_healthy(self) -> float:
        """Return the seconds from the start until the health check succeeds. Raises TrialError
        when Compose's engine would call the container unhealthy."""
        if self.health is None:
            raise TrialError(f"{self.name} has no health check")
        while True:
            try:
                self.run(*self.health.command, timeout_s=self.health.timeout_s)
                return time.monotonic() - self.started
            except TrialError as error:
                if time.monotonic() - self.started > self.health.given_up_after_s:
                    raise TrialError(f"{self.name} is unhealthy: {error}; {self.said()}") from error
            time.sleep(LOOK_S)

    def pids(self) -> list[int]:
        """Return the processes in the container."""
        said = output([*self._runtime, "ps", "--format", "json", self.name])
        return [int(pid) for pid in json.loads(said)]

    def processor_s(self) -> float:
        """Return the processor time of the container's processes, health checks left out."""
        stats = (Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1] for pid in self.pids())
        ticks = sum(int(number) for stat in stats for number in stat.split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    def signal(self, name: str) -> None:
        """Send a signal to the container's first process."""
        output([*self._runtime, "kill", self.name, name])

    def wait(self, within_s: float) -> tuple[int, float]:
        """Return the exit code (128 + n after signal n) and the seconds until then. Raises
        TrialError if it runs on."""
        began = time.monotonic()
        while (waited := time.monotonic() - began) < within_s:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                output([*self._runtime, "delete", self.name])
                code = os.waitstatus_to_exitcode(status)
                return (code if code >= 0 else 128 - code), waited
            time.sleep(0.02)
        raise TrialError(f"{self.name} runs on {within_s:.0f} s after a signal; {self.said()}")

    def remove(self) -> None:
        """End the process, if it runs."""
        output([*self._runtime, "delete", "--force", self.name])

    def said(self) -> str:
        """Return the last line of the log."""
        lines = (
            self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        )
        return f"its last line: {lines[-1]}" if lines else "it wrote nothing"

    def _mounts(self) -> list[bundle.Mount]:
        resolver = self._folder / "resolv.conf"
        resolver.write_text(RESOLVER)
        mounts = [bundle.Mount(resolver, "/etc/resolv.conf", read_only=True)]
        if self.service.init:
            tini = Path(shutil.which("tini-static") or "")
            mounts.append(bundle.Mount(tini, bundle.INIT, read_only=True))
        for volume in self.service.volumes:
            source = self._volume(volume.source, volume.target) if volume.named else None
            mounts.append(
                bundle.Mount(
                    source or Path(volume.source).resolve(), volume.target, volume.read_only
                )
            )
        return mounts

    def _volume(self, name: str, target: str) -> Path:
        """Make a named volume, which begins as the image's folder, with its owner."""
        folder = self._folder / "volumes" / name
        within = self.files / target.lstrip("/")
        if within.is_dir():
            shutil.copytree(within, folder)
            about = within.stat()
            os.chown(folder, about.st_uid, about.st_gid)
        else:
            folder.mkdir(parents=True)
        return folder
