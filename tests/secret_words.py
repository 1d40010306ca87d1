"""Passwords that people choose, and a search for any part of them."""

import re

PASSWORDS = [
    "hunter2#marlin",
    "hunter2/marlin",
    "hunter2?marlin",
    "hunter2@marlin",
    "hunter2:marlin",
    "hunter2%marlin",
    "hunter2%23marlin",
    "hunter2[marlin]",
    "[hunter2]marlin",
    "hunter2 marlin",
    "hunter2\tmarlin",
    "hunter2\nmarlin",
    "hunter2\\marlin",
    "hunter2&marlin=narwhal",
    "hünter2-märlin",
    "hunter2\N{FULLWIDTH COMMERCIAL AT}marlin",
    "hunter2\N{CARE OF}marlin",
    "8123#marlin",
    "8123/4567",
    "8123?marlin",
    "8123@4567#marlin",
    "#hunter2",
    "?hunter2",
    "/hunter2",
    "//hunter2@marlin",
    "hunter2://marlin",
    "hunter2'marlin\"narwhal",
]


def seen(password: str, text: str) -> list[str]:
    """Parts of a password, of three letters and more, that occur in a text."""
    parts = {password, *re.split(r"\W+", password)}
    return sorted(part for part in parts if len(part) >= 3 and part in text)
