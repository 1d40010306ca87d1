"""One attempt to deliver a message: to an address that was checked, without redirects."""

import asyncio
import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

import httpx

from service.callbacks.message import Message
from service.hosts import Address, AllowedHosts
from service.urls import UrlError

# Seconds for the whole attempt.
TIMEOUT_S = 10.0
_PORTS = {"http": 80, "https": 443}


class ForbiddenAddressError(Exception):
    """Raised for a host that is not to be called, or has no address that may be connected to."""


class Sender:
    """Sends messages to allowed hosts. A receiver's answer is its status; the rest is not read."""

    def __init__(self, hosts: AllowedHosts) -> None:
        self._hosts = hosts
        # The system's authorities, or those of SSL_CERT_FILE; no proxies of the environment; a
        # connection for each message.
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(),
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def send(self, url: str, message: Message) -> int:
        """Deliver a message and return the status of the answer.

        Raises ForbiddenAddressError, and httpx.HTTPError, OSError or TimeoutError where the host
        is not to be had.
        """
        async with asyncio.timeout(TIMEOUT_S):
            try:
                self._hosts.check_url(url)
            except UrlError as error:
                raise ForbiddenAddressError(str(error)) from error
            parts = urlsplit(url)
            host = parts.hostname or ""
            address = await self._address(host, parts.port or _PORTS[parts.scheme])
            # The connection goes to the address that was checked: the name may lead elsewhere by
            # now. The certificate has to be the name's.
            request = self._client.build_request(
                "POST",
                httpx.URL(url).copy_with(host=str(address)),
                content=message.body,
                headers={"Host": parts.netloc, **message.headers},
                extensions={"sni_hostname": host},
            )
            response = await self._client.send(request, stream=True)
            await response.aclose()
            return response.status_code

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _address(self, host: str, port: int) -> Address:
        """Return an address of a host. Raises ForbiddenAddressError unless all of them may be
        connected to, and OSError for a name that leads nowhere."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not self._hosts.reaches(address):
                raise ForbiddenAddressError("the host has an address that is not public")
        return addresses[0]
