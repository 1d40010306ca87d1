"""Media types of bodies and answers."""

from collections.abc import Sequence

import mimeparse
from starlette.requests import Request

from service.errors import NotAcceptable, UnsupportedMediaType

JSON = "application/json"
MULTIPART = "multipart/form-data"
EVENTS = "text/event-stream"
NPY = "application/x-npy"
PNG = "image/png"
# Media types of photographs, and the format of each.
PHOTOGRAPHS = {
    "image/jpeg": "JPEG",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/webp": "WebP",
}


def answer_type(request: Request, offers: Sequence[str]) -> str:
    """The offer that Accept prefers, the last of several equals. Raises NotAcceptable."""
    accept = ", ".join(request.headers.getlist("accept")).strip().lower() or "*/*"
    try:
        best: str = mimeparse.best_match(offers, accept)
    except mimeparse.MimeTypeParseException:
        best = ""
    if not best:
        raise NotAcceptable(f"this endpoint answers with {', '.join(offers)}")
    return best


def body_type(request: Request, offers: Sequence[str]) -> str:
    """The body's media type, one of `offers`. Raises UnsupportedMediaType."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in offers:
        raise UnsupportedMediaType(
            f"Content-Type {given or 'is missing'}; this endpoint reads {', '.join(offers)}"
        )
    check_encoding(request)
    return given


def check_encoding(request: Request) -> None:
    """Raises UnsupportedMediaType for a compressed body, whose size inside is not known before."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(f"Content-Encoding {encoding} is not read")
