"""Images that are sent as text: base64 in the forms that clients write."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from service.errors import MalformedBody
from service.images.upload import Upload

# RFC 2397. The media type is ignored, because the first bytes of the content tell the format.
_DATA_URL = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
# RFC 4648, section 5: an alphabet that needs no escapes in a URL.
_ALPHABET = bytes.maketrans(b"-_", b"+/")
# RFC 2045, section 6.8: lines of at most 76 letters.
_WHITE = b" \t\r\n\f\v"


def from_base64(texts: Iterable[str], name: str) -> list[Upload]:
    """Decode base64 texts into parts, labelled with `name` and their index.

    `data:` URLs, white space, the URL-safe alphabet and missing padding are accepted. Raises
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
    """The bytes of one text. Raises ValueError."""
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
