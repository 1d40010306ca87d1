"""Forms whose files need no name: a part is told for an image by its own name."""

from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.formparsers import MultiPartParser


class ImageFormParser(MultiPartParser):
    """Takes for a file each part called `image_name`, and each that has a file name by RFC 8187
    alone (`filename*=`), which the library passes over."""

    def __init__(self, image_name: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._image_name = image_name.encode()

    def on_headers_finished(self) -> None:
        """Called for each part, once its headers are complete."""
        stated = self._current_part.content_disposition or b""
        _, options = parse_options_header(stated)
        is_file = options.get(b"name") == self._image_name or b"filename*" in stated.lower()
        if is_file and b"filename" not in options:
            self._current_part.content_disposition = stated + b'; filename=""'
        super().on_headers_finished()
