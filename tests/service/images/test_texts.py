"""Base64 is read in every form that clients write."""

import base64
import textwrap
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import MalformedBody
from service.images.texts import from_base64


def plain(content: bytes) -> str:
    return base64.b64encode(content).decode()


def for_urls(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


FORMS = {
    "plain": plain,
    "for URLs": for_urls,
    "without padding": lambda content: plain(content).rstrip("="),
    "in lines": lambda content: base64.encodebytes(content).decode(),
    "in lines of mail": lambda content: "\r\n".join(textwrap.wrap(plain(content), 76)),
    "indented": lambda content: textwrap.indent(base64.encodebytes(content).decode(), "  "),
    "data URL": lambda content: f"data:image/png;base64,{plain(content)}",
    "data URL of no type": lambda content: f"data:;base64,{plain(content)}",
    "data URL with parameters": lambda c: f"DATA:image/png;charset=utf-8;BASE64,{plain(c)}",
    "data URL, escaped": lambda content: f"data:image/png;base64,{quote(plain(content), safe='')}",
    "data URL for URLs": lambda content: f"data:image/png;base64,{for_urls(content)}",
    "data URL in lines": lambda c: f" data:image/png;base64,\n{base64.encodebytes(c).decode()}",
}


@pytest.mark.parametrize("form", FORMS)
@given(content=st.binary(max_size=200))
def test_every_form_is_read(form: str, content: bytes) -> None:
    (part,) = from_base64([FORMS[form](content)], "images")
    assert part == ("images[0]", content)


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        "abcde",
        "AAA=A",
        "AA==AA==",
        "AAAA====",
        "====",
        "é",
        "data:image/png,AAAA",
        "data:image/png;base64",
        "data:;base64,not base64!",
        "data:" + "x" * 1000 + ";base64,AAAA",
        "https://example.org/a.png",
        "/home/me/a.png",
        "\N{FULLWIDTH LATIN CAPITAL LETTER A}AAA",
    ],
)
def test_what_is_none_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(MalformedBody, match=r"images\[1\]: not base64"):
        from_base64(["AAAA", text], "images")


@given(st.text())
def test_any_text_at_all(text: str) -> None:
    with suppress(MalformedBody):
        (part,) = from_base64([text], "images")
        assert len(part.content) <= len(text)
