"""One connection to a Redis or to a Sentinel, over TLS or without. Where none comes about, the
error says what to do, as far as that can be told; what TLS trusts is read for all connections.
"""

import logging
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from redis import exceptions
from redis.asyncio.connection import Connection, SSLConnection

from service.store.telling import tell_each_minute

logger = logging.getLogger(__name__)

# Seconds after which the files of certificates are read again: they are renewed while a process
# runs. To read them takes tens of milliseconds, in which the process does nothing else.
READ_AGAIN_S = 60.0

SPEAKS_TLS = "if the server speaks TLS, its URL has to begin with rediss"
SPEAKS_NO_TLS = "if the server speaks no TLS, its URL has to begin with redis, not with rediss"
OTHER_NAME = (
    "use a name that is in the certificate: in the URL, in cluster-announce-hostname of the nodes "
    "of a cluster, in announce-hostnames of Sentinels; with ssl_check_hostname=no in the URL any "
    "name will do"
)
UNKNOWN_AUTHORITY = "ssl_ca_certs in the URL has to name the file of its authority's certificate"
WANTS_CERTIFICATE = (
    "if the server wants a client's certificate, ssl_certfile and ssl_keyfile in the URL have to "
    "name the files of one whose authority it knows"
)

# OpenSSL's numbers for a certificate of another name or address, and for one whose issuer it does
# not know.
_OTHER_NAME, _UNKNOWN_AUTHORITY = {62, 64}, {18, 19, 20, 21}
# OpenSSL's words for a server that answers without TLS, and for one that refuses the client.
_NO_TLS = {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
_REFUSED = {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"}
# Errors that are looked at, from one to its cause and on.
_CAUSES = 10


class Trust:
    """The certificates that connections over TLS trust and show, in the files that the `options` of
    a URL name.

    They are read once, and again when a connection is made a minute later. Where they cannot be
    read again, those from before stay. Raises OSError for files that cannot be read at first.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = {name: value for name, value in options.items() if name.startswith("ssl")}
        self._context, self._read_at = self._read(), time.monotonic()
        # Whether a connection has ever come about, so that these options are not to blame.
        self.has_worked = False

    def context(self) -> ssl.SSLContext:
        """Return the context of a new connection."""
        if time.monotonic() > self._read_at + READ_AGAIN_S:
            self._read_at = time.monotonic()
            try:
                self._context = self._read()
            except OSError as error:
                line = f"certificates for Redis cannot be read, and older ones are used: {error}"
                tell_each_minute(logger, logging.WARNING, line)
        return self._context

    def _read(self) -> ssl.SSLContext:
        return SSLConnection(**self._options).ssl_context.get()


class Link(Connection):
    """A connection without TLS."""

    # Whether it has ever come about, so that its options are not to blame.
    has_worked = False

    async def connect(self) -> None:
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except (exceptions.RedisError, OSError) as error:
            raise_with(error, self._advise(error))
        self.has_worked = True

    async def disconnect(self, nowait: bool = False, *arguments: Any, **options: Any) -> None:
        """Close the connection. That may take an answer (TLS), or that what was written leaves: a
        close that waits takes no longer than to connect may, and another does not wait at all."""
        writer = self._writer
        try:
            await super().disconnect(nowait, *arguments, **options)
        except exceptions.TimeoutError:
            nowait = True
        if nowait and writer is not None:
            writer.transport.abort()

    def _advise(self, error: BaseException) -> str | None:
        """Say what to do about an error of a connection that is being made, if TLS may be why."""
        if self.has_worked:
            return None
        odd = (ConnectionResetError, exceptions.InvalidResponse)
        return SPEAKS_TLS if _is_closed(error) or _finds(error, *odd) else None


class SecureLink(SSLConnection, Link):
    """A connection over TLS, which trusts what all of its store trust."""

    def __init__(self, *, trust: Trust, **options: Any) -> None:
        super().__init__(**options)
        self._trust = trust

    async def connect(self) -> None:
        await super().connect()
        self._trust.has_worked = True

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {"host": self.host, "port": self.port, "ssl": self._trust.context()}

    def _advise(self, error: BaseException) -> str | None:
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                if cause.verify_code in _OTHER_NAME:
                    return OTHER_NAME
                return UNKNOWN_AUTHORITY if cause.verify_code in _UNKNOWN_AUTHORITY else None
            if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
                return SPEAKS_NO_TLS
            if isinstance(cause, ssl.SSLError) and cause.reason in _REFUSED:
                return WANTS_CERTIFICATE
        if self._trust.has_worked:
            return None
        if _is_closed(error) or _finds(error, ConnectionResetError):
            return WANTS_CERTIFICATE
        return SPEAKS_NO_TLS if _finds(error, TimeoutError, exceptions.TimeoutError) else None


def made_of(trust: Trust | None) -> dict[str, Any]:
    """Return the options of a pool of connections that have this trust, or none without TLS."""
    return {"connection_class": SecureLink, "trust": trust} if trust else {"connection_class": Link}


def raise_with(error: Exception, advice: str | None) -> NoReturn:
    """Raise an error with what to do about it, unless that is not known or said already."""
    text = str(error)
    if advice is None or advice in text:
        raise error
    slow = isinstance(error, exceptions.TimeoutError | TimeoutError)
    kind = exceptions.TimeoutError if slow else exceptions.ConnectionError
    raise kind(f"{text.rstrip('.')}; {advice}") from error


def _is_closed(error: BaseException) -> bool:
    """Whether a server has closed a connection without a word, which has no type of its own."""
    return "closed by server" in str(error).lower()


def _finds(error: BaseException, *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    for _ in range(_CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
