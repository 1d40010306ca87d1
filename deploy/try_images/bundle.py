"""A service as runc runs it: the OCI configuration that Docker would write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.try_images.compose import Service
from deploy.try_images.images import Image
from deploy.try_images.tools import TrialError

# What Docker leaves to a container by default.
CAPABILITIES = [
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW"),
    *("CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE"),
    *("CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"),
]
INIT = "/sbin/docker-init"
# Docker's own options of a tmpfs.
TMPFS = ["rw", "nosuid", "nodev", "noexec"]
HIDDEN = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]
UNWRITABLE = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host, and where a container sees it."""

    source: Path
    target: str
    read_only: bool


def command_of(service: Service, image: Image) -> list[str]:
    """Return the command line, behind an init process where the service has one."""
    command = [*image.entrypoint, *(service.command or image.command)]
    return [INIT, "--", *command] if service.init else command


def user_of(service: Service, image: Image, files: Path) -> tuple[int, int]:
    """Return the numbers of the user and group that it runs as. Raises TrialError."""
    user, _, group = (service.user or image.user).partition(":")
    users, groups = _table(files / "etc/passwd"), _table(files / "etc/group")
    own_group = next((row[3] for row in users if user in (row[0], row[2])), "0")
    return _number(user, users), _number(group or own_group, groups)


def configuration(
    service: Service,
    image: Image,
    files: Path,
    user: tuple[int, int],
    hostname: str,
    mounts: Sequence[Mount],
) -> dict[str, Any]:
    """Return the config.json of a bundle."""
    uid, gid = user
    bounding = [] if service.drops_capabilities else CAPABILITIES
    # A user other than root has none of those in the bounding set.
    own = bounding if uid == 0 else []
    environment = {**image.environment, "HOSTNAME": hostname, **service.environment}
    return {
        "ociVersion": "1.0.2",
        "hostname": hostname,
        "root": {"path": str(files), "readonly": service.read_only},
        "process": {
            "args": command_of(service, image),
            "cwd": image.folder,
            "env": [f"{name}={value}" for name, value in environment.items()],
            "user": {"uid": uid, "gid": gid},
            "noNewPrivileges": service.no_new_privileges,
            "capabilities": {
                "bounding": bounding,
                "permitted": own,
                "effective": own,
                "inheritable": [],
                "ambient": [],
            },
        },
        "mounts": [*_system(), *_temporary(service.tmpfs), *(_bound(one) for one in mounts)],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
            "maskedPaths": HIDDEN,
            "readonlyPaths": UNWRITABLE,
        },
    }


def _system() -> list[dict[str, Any]]:
    safe = ["nosuid", "nodev", "noexec"]
    return [
        _mount("/proc", "proc", "proc", safe),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]
        ),
        _mount("/dev/shm", "tmpfs", "shm", [*safe, "mode=1777", "size=65536k"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", safe),
        _mount("/sys", "sysfs", "sysfs", [*safe, "ro"]),
    ]


def _temporary(entries: Sequence[str]) -> list[dict[str, Any]]:
    split = (entry.partition(":") for entry in entries)
    return [
        _mount(target, "tmpfs", "tmpfs", [*TMPFS, *filter(None, options.split(","))])
        for target, _, options in split
    ]


def _bound(mount: Mount) -> dict[str, Any]:
    options = ["rbind", "rprivate", "ro" if mount.read_only else "rw"]
    return _mount(mount.target, "bind", str(mount.source), options)


def _mount(target: str, kind: str, source: str, options: Sequence[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _table(file: Path) -> list[list[str]]:
    return [line.split(":") for line in file.read_text().splitlines() if ":" in line]


def _number(name: str, rows: Sequence[Sequence[str]]) -> int:
    if name.isdigit():
        return int(name)
    found = next((row[2] for row in rows if row[0] == name), None)
    if found is None:
        raise TrialError(f"the image has no user or group {name}")
    return int(found)
