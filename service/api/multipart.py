"""Bodies of multipart/form-data (RFC 7578), whole in memory, into parts."""

import re
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import MalformedBody

_EXTENDED_FILE_NAME = re.compile(rb";\s*filename\*", re.IGNORECASE)


class Part(NamedTuple):
    """One part; `is_file` where it names a file, in whichever syntax."""

    name: str
    is_file: bool
    content: bytes


def split(body: bytes, content_type: str, most: int) -> list[Part]:
    """The parts of a form.

    Raises MalformedBody where there is no boundary, no end, a part without a name, or more than
    `most` parts.
    """
    _, options = parse_options_header(content_type)
    if not (boundary := options.get(b"boundary")):
        raise MalformedBody("the multipart body has no boundary in its Content-Type")
    form = _Form(most)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.add_name,
                "on_header_value": form.add_value,
                "on_header_end": form.end_header,
                "on_part_data": form.add_content,
                "on_part_end": form.end,
                "on_end": form.finish,
            },
        )
        parser.write(body)
    except FormParserError as error:
        raise MalformedBody("the multipart body is damaged") from error
    if not form.is_whole:
        raise MalformedBody("the multipart body is truncated")
    return form.parts


class _Form:
    """The parts of a form, as the parser reports them."""

    def __init__(self, most: int) -> None:
        self.parts: list[Part] = []
        self.is_whole = False
        self._most = most

    def begin(self) -> None:
        if len(self.parts) == self._most:
            raise MalformedBody(f"the form has more than {self._most} parts")
        self._name, self._value, self._disposition, self._content = (bytearray() for _ in range(4))

    def add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = bytearray(), bytearray()

    def add_content(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end(self) -> None:
        disposition = bytes(self._disposition)
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise MalformedBody("a part of the form has no name in its Content-Disposition")
        is_file = b"filename" in options or bool(_EXTENDED_FILE_NAME.search(disposition))
        self.parts.append(Part(to_text(options[b"name"]), is_file, bytes(self._content)))

    def finish(self) -> None:
        self.is_whole = True


def to_text(content: bytes) -> str:
    """Decode the text of a field. Raises MalformedBody for text that is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody("the form's text is not UTF-8") from error
