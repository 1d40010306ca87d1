"""Parsing of forms in which a file may lack a file name."""

from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.formparsers import MultiPartParser


class ImageFormParser(MultiPartParser):
    """Treats every part called `image_name` as a file, and every part with `filename*=` (RFC 8187).

    The base class recognises a file by `filename=` alone.
    """

    def __init__(self, image_name: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._image_name = image_name.encode()

    def on_headers_finished(self) -> None:
        """Add an empty file name to a part that is a file; called when its headers are complete."""
        stated = self._current_part.content_disposition or b""
        _, options = parse_options_header(stated)
        is_file = options.get(b"name") == self._image_name or b"filename*" in stated.lower()
        if is_file and b"filename" not in options:
            self._current_part.content_disposition = stated + b'; filename=""'
        super().on_headers_finished()
