"""The orientation that a camera noted in a picture, and turning the picture upright by it.

Orientations are numbered as in EXIF (CIPA DC-008, tag 0x0112): 1 is upright, 2 to 8 are turned or
mirrored. A PNG holds the number in an eXIf chunk, in an EXIF profile that is written as text
(ImageMagick does so), or in XMP.
"""

import re
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from models.schema.errors import PictureDamageError

UPRIGHT, MOST = 1, 8
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_TAG = 0x0112
_ENTRY_BYTES = 12
# Cameras write about twenty entries.
_MOST_ENTRIES = 1000
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
# EXIF's types of whole numbers (BYTE, SHORT, LONG) in the notation of the struct module.
_WHOLE = {1: "B", 3: "H", 4: "I"}
_EXIF_PREFIX = b"Exif\0\0"
_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1", b"Raw profile type xmp")
_XMP = b"XML:com.adobe.xmp"
_XMP_NAME = b"tiff:Orientation"
_XMP_ORIENTATION = re.compile(_XMP_NAME + rb"\s*(?:=\s*[\"']|>)\s*(\d{0,5})")
# EXIF and XMP have at most 64 kB each, and 128 kB in hexadecimal.
_MOST_TEXT_BYTES = 256 << 10


class OrientationReader:
    """Collects the orientations that the chunks of one file state.

    Every method raises PictureDamageError for a statement that cannot be read, for a number that
    is no orientation, and for a second orientation that differs from the first. Ignoring such a
    statement could mean scoring a picture that lies on its side.
    """

    def __init__(self) -> None:
        self._said: int | None = None
        self._room = _MOST_TEXT_BYTES

    @property
    def found(self) -> int:
        """The orientation; upright where the file states none."""
        return UPRIGHT if self._said is None else self._said

    def exif(self, data: bytes) -> None:
        """Read the content of an eXIf chunk."""
        data = data.removeprefix(_EXIF_PREFIX)
        order = _ORDERS.get(data[:4])
        if order is None:
            raise _unreadable("EXIF")
        try:
            (start,) = struct.unpack_from(f"{order}I", data, 4)
            (count,) = struct.unpack_from(f"{order}H", data, start)
            if count > _MOST_ENTRIES:
                raise _unreadable("EXIF")
            for place in range(start + 2, start + 2 + _ENTRY_BYTES * count, _ENTRY_BYTES):
                tag, kind, values = struct.unpack_from(f"{order}HHI", data, place)
                if tag == _TAG:
                    if kind not in _WHOLE or values != 1:
                        raise _unreadable("EXIF")
                    (value,) = struct.unpack_from(order + _WHOLE[kind], data, place + 8)
                    self._say(value)
        except struct.error as error:
            raise _unreadable("EXIF") from error

    def text(self, kind: bytes, data: bytes) -> None:
        """Read a chunk of text, unless it is about something else; then it is not inflated."""
        keyword, _, rest = data.partition(b"\0")
        if keyword == _XMP:
            self._xmp(self._plain(kind, rest))
        elif keyword in _PROFILES:
            try:
                _, _, digits = self._plain(kind, rest).split(None, 2)
                profile = bytes.fromhex(digits.decode("ascii"))
            except ValueError as error:
                raise _unreadable("EXIF") from error
            if keyword.endswith(b"exif") or profile.startswith((_EXIF_PREFIX, *_ORDERS)):
                self.exif(profile)
            else:
                self._xmp(profile)

    def _plain(self, kind: bytes, rest: bytes) -> bytes:
        """The text of a chunk, without its keyword and uncompressed."""
        if kind == b"tEXt":
            return rest
        if kind == b"iTXt":
            deflated, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
            if not deflated:
                return rest
        else:
            rest = rest[1:]
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(rest, self._room + 1)
        except zlib.error as error:
            raise _unreadable("EXIF or XMP") from error
        if len(text) > self._room or not inflater.eof:
            raise _unreadable("EXIF or XMP")
        self._room -= len(text)
        return text

    def _xmp(self, text: bytes) -> None:
        # Searching for plain bytes first is many times faster.
        for match in _XMP_ORIENTATION.finditer(text) if _XMP_NAME in text else ():
            # An element has its name twice, and ends with </tiff:Orientation>.
            if text[match.start() - 1 : match.start()] != b"/":
                self._say(int(match[1] or b"0"))

    def _say(self, value: int) -> None:
        if not UPRIGHT <= value <= MOST:
            raise PictureDamageError(
                f"its orientation is {value}, none of {UPRIGHT} to {MOST}; remove or mend it"
            )
        if self._said not in (None, value):
            raise PictureDamageError(
                f"it says two orientations, {self._said} and {value}; remove one"
            )
        self._said = value


def upright(values: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Values `[H, W, C]`, turned and mirrored so that the picture is upright.

    Orientations 5 to 8 exchange H and W.
    """
    if orientation > 4:
        values = values.swapaxes(0, 1)
    rows_back = orientation in (3, 4, 7, 8)
    columns_back = orientation in (2, 3, 6, 7)
    return values[:: -1 if rows_back else 1, :: -1 if columns_back else 1]


def _unreadable(what: str) -> PictureDamageError:
    return PictureDamageError(f"its {what} cannot be read, and may say how it is turned; remove it")
