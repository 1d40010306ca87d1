"""The hosts that the service may send requests of its own to, and the secret that signs them.

A host is called if it is on the list, and only at public addresses. A name that leads to a private
address, whatever its owner tells the name servers, is refused unless the list has that address or
its network too.
"""

import base64
import ipaddress
from collections.abc import Iterable
from typing import Self
from urllib.parse import urlsplit

from service.urls import UrlError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2048
# Secrets of Standard Webhooks begin with it.
SECRET_PREFIX = "whsec_"
# RFC 6052: IPv4 addresses inside IPv6 ones.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AllowedHosts:
    """An allow-list: names, `.example.com` for all names below example.com, and addresses or
    networks as 10.0.0.0/8."""

    def __init__(self, names: Iterable[str], networks: Iterable[Network]) -> None:
        self._names, self._networks = frozenset(names), tuple(networks)

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """Read the entries of a list. Raises ValueError for one that is neither."""
        names, networks = [], []
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                names.append(_name(entry))
        return cls(names, networks)

    def __bool__(self) -> bool:
        """Whether there is any host that may be called."""
        return bool(self._names or self._networks)

    def check_url(self, url: str) -> None:
        """Raises UrlError for a URL that is not to be called; the message repeats nothing of it."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise UrlError("should be http://host/path or https://host/path")
        if len(url) > LONGEST_URL or not url.isascii() or any(one <= " " for one in url):
            raise UrlError(f"should be at most {LONGEST_URL} visible ASCII characters")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise UrlError("should have no user, no password and no fragment")
        if not self._allows(host):
            raise UrlError("names a host that is not in MULAN_CALLBACK_HOSTS")

    def reaches(self, address: Address) -> bool:
        """Whether the service may connect to an address that an allowed host has."""
        if any(address in network for network in self._networks):
            return True
        return all(one.is_global and not one.is_multicast for one in _all_of(address))

    def _allows(self, host: str) -> bool:
        host = host.rstrip(".").lower()
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            labels = host.split(".")
            above = ("." + ".".join(labels[i:]) for i in range(1, len(labels)))
            return host in self._names or any(one in self._names for one in above)
        return any(address in network for network in self._networks)


def _all_of(address: Address) -> list[Address]:
    """Return an address and the IPv4 ones that it stands for."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        mapped = address.ipv4_mapped is not None
        found = [one for one in inside if one is not None] + ([] if mapped else found)
    return found


def _name(entry: str) -> str:
    """Return a name in lower case. Raises ValueError."""
    labels = entry.removeprefix(".").lower().split(".")
    fits = all(label and label.replace("-", "").replace("_", "").isalnum() for label in labels)
    if not fits or not entry.isascii():
        raise ValueError("should be host names, .example.com, addresses or networks")
    return entry.lower()


def check_hosts(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Check the entries of an allow-list. Raises ValueError."""
    AllowedHosts.of(entries)
    return entries


def check_secret(text: str) -> str:
    """Check a secret by which calls are signed, without repeating it. Raises ValueError."""
    if text:
        try:
            key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
        except ValueError:
            key = b""
        if not text.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
            raise ValueError(f"should be {SECRET_PREFIX} and base64 of 24 to 64 random bytes")
    return text
