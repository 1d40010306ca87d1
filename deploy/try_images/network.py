"""A network of the fleet's own: a bridge, addresses, and names by DNS as Docker gives them."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Self

from deploy.try_images.tools import output

SUBNET = "10.89.0"
BRIDGE = "mulan"
GATEWAY = f"{SUBNET}.1"
RESOLVER = f"nameserver {GATEWAY}\noptions ndots:0\n"


def address(number: int) -> str:
    """Return the address of the container of a number."""
    return f"{SUBNET}.{10 + number}"


class Network:
    """A bridge in this process's network namespace, and a DNS server on it."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        """Take the addresses of each name."""
        self._names = names

    def __enter__(self) -> Self:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        records = [
            f"--host-record={name},{one}" for name, found in self._names.items() for one in found
        ]
        options = ["--keep-in-foreground", "--no-hosts", "--no-resolv", "--conf-file=/dev/null"]
        place = [f"--listen-address={GATEWAY}", "--bind-interfaces", "--user=root", "--pid-file="]
        self._dns = subprocess.Popen(["dnsmasq", *options, *place, *records])
        return self

    def __exit__(self, *_: object) -> None:
        self._dns.terminate()
        self._dns.wait()
        _ip("link", "delete", BRIDGE)

    def join(self, pid: int, number: int) -> None:
        """Give the network namespace of a process its address."""
        here = f"mulan{number}"
        _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _ip("link", "set", here, "master", BRIDGE, "up")
        inside = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip"]
        output([*inside, "link", "set", "lo", "up"])
        output([*inside, "address", "add", f"{address(number)}/24", "dev", "eth0"])
        output([*inside, "link", "set", "eth0", "up"])


def _ip(*arguments: str) -> None:
    output(["ip", *arguments])
