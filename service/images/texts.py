"""Images that came as text: base64 as it is found in the wild."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from service.errors import MalformedBody
from service.images.upload import Upload

# RFC 2397. Its media type is not asked: what came is told by its first bytes.
_DATA_URL = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
# RFC 4648, section 5: an alphabet that needs no escapes in a URL.
_ALPHABET = bytes.maketrans(b"-_", b"+/")
# RFC 2045, section 6.8: lines of at most 76 letters.
_WHITE = b" \t\r\n\f\v"


def from_base64(texts: Iterable[str], name: str) -> list[Upload]:
    """Base64 texts as parts, each called `name` and its place.

    A `data:` URL, line breaks, the alphabet for URLs and missing padding are taken. Raises
    MalformedBody.
    """
    parts = []
    for index, text in enumerate(texts):
        label = f"{name}[{index}]"
        try:
            parts.append(Upload(label, _decoded(text)))
        except ValueError as error:
            raise MalformedBody(f"{label}: not base64, nor a data: URL of base64") from error
    return parts


def _decoded(text: str) -> bytes:
    """Raises ValueError."""
    text = text.strip()
    if url := _DATA_URL.match(text):
        if not url[1].lower().rstrip().endswith(";base64"):
            raise ValueError("a data: URL of plain text")
        written = unquote_to_bytes(text[url.end() :])
    else:
        written = text.encode("ascii")
    letters = written.translate(_ALPHABET, _WHITE)
    bare = letters.rstrip(b"=")
    if len(letters) - len(bare) > 2:
        raise ValueError("too much padding")
    return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
