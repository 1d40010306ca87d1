"""An authority of the tests' own, and what it certifies; by the command openssl."""

import ssl
import subprocess
from pathlib import Path


class Authority:
    """An authority, whose files are in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key = folder / "authority.pem", folder / "authority.key"
        _openssl("req", "-x509", "-subj", "/CN=tests", *_new(self._key), "-out", self.certificate)

    def issue(self, name: str, *more: str) -> tuple[Path, Path]:
        """Certify a name, as `DNS:localhost` or `IP:127.0.0.1`; the certificate and its key."""
        stem = self._folder / name.replace(":", "-")
        certificate, key, asked = (stem.with_suffix(end) for end in (".pem", ".key", ".csr"))
        facts = stem.with_suffix(".facts")
        facts.write_text(f"subjectAltName={name}\n")
        _openssl("req", "-subj", "/CN=tests", *_new(key), "-out", asked)
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        _openssl(
            *("x509", "-req", "-in", asked, *signed, "-extfile", facts, *more),
            *("-out", certificate),
        )
        return certificate, key

    def served(self, name: str, *more: str, asks_clients: bool = False) -> ssl.SSLContext:
        """The context of a server that shows a certificate of a name, and may want one of this
        authority from clients."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.certificate))
        context.load_cert_chain(*self.issue(name, *more))
        context.verify_mode = ssl.CERT_REQUIRED if asks_clients else ssl.CERT_NONE
        return context


def _new(key: Path) -> tuple[str | Path, ...]:
    return "-newkey", "rsa:2048", "-nodes", "-keyout", key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
