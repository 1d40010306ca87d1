"""A file that a client sent as an image, and its format."""

import re
from typing import Literal, NamedTuple

from models.files.png import MAGIC
from service.errors import MalformedBody, UnsupportedMediaType

ACCEPTED = "PNG and .npy are read"
# The first bytes of each format. Those that are not read are here so that a refusal names them.
_FORMATS = {
    "PNG": re.escape(MAGIC),
    ".npy": rb"\x93NUMPY",
    "JPEG": rb"\xff\xd8\xff",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{4}\0{4}",
    "TIFF": rb"II\*\0|MM\0\*",
    "WebP": rb"RIFF.{4}WEBP",
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIC": rb".{4}ftyp(?:hei[cx]|mif1)",
    "JPEG 2000": rb"\0{3}\x0cjP  ",
    "JPEG XL": rb"\xff\x0a|\0{3}\x0cJXL ",
    "PNM": rb"P[1-7]\s",
    "SVG": rb"\s{0,16}<(?:\?xml|svg)",
    "PDF": rb"%PDF-",
    "ZIP (as .npz is)": rb"PK\x03\x04",
    "gzip": rb"\x1f\x8b\x08",
}
_BEGINNINGS = re.compile(b"|".join(b"(%b)" % form for form in _FORMATS.values()), re.DOTALL)


class Upload(NamedTuple):
    """Uploaded bytes, and what the client may call them: `images[3]`."""

    label: str
    content: bytes

    def has_form(self, name: str) -> bool:
        """Return whether the first bytes are those of the format `name`."""
        return self._format == name

    @property
    def known(self) -> bool:
        """True if the first bytes are those of a known format, whether it is read or not."""
        return self._format is not None

    @property
    def form(self) -> Literal["PNG", ".npy"]:
        """The format by the first bytes.

        Raises UnsupportedMediaType for another known format, MalformedBody for anything else.
        """
        match self._format:
            case "PNG" | ".npy" as read:
                return read
            case None:
                words = "neither a PNG nor a .npy" if self.content else "empty, and so no image"
                raise MalformedBody(f"{self.label}: {words}; {ACCEPTED}")
            case other:
                raise UnsupportedMediaType(
                    f"{self.label}: neither a PNG nor a .npy but {other}; convert it: "
                    'Image.open(f).save("image.png")'
                )

    @property
    def _format(self) -> str | None:
        found = _BEGINNINGS.match(self.content)
        return list(_FORMATS)[found.lastindex - 1] if found and found.lastindex else None
