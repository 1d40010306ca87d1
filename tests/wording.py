"""Rules of wording that docstrings and descriptions follow, so that each is understood alone."""

import re

_JOINING = """
    about according across after against along also among and around as at because before behind
    below beneath beside besides between beyond but by despite down during else except for from his
    how if in inside instead into it its less like likewise near neither no nor not nowhere nothing
    of off on onto or otherwise ours out outside over past per plus regarding since so such than
    that their them then there these they those though through throughout till to too toward
    towards under unless unlike until unto up upon versus via what whatever when whence where
    whereas wherever whether which whichever while who whoever whom whose why with within without
    yes yet
"""
# Words that join a sentence to another one, and so leave a text that begins with them a fragment.
FRAGMENTS = frozenset(_JOINING.split())
FEWEST = 3
_WORD = re.compile(r"[^\W\d_]+(?:'\w+)?")
_OPENING = re.compile(r"[A-Z0-9`'\"(\[|-]")


def faults(text: str) -> list[str]:
    """Return what is wrong with a docstring."""
    found = []
    if (first := first_word(text)) in FRAGMENTS:
        found.append(f"begins with {first!r}")
    if text.lower().startswith("the same"):
        found.append("begins with 'the same'")
    if not text.strip().split("\n\n")[0].endswith((".", ":", "!")):
        found.append("does not end its first paragraph with a full stop")
    return found


def faults_of_description(text: str) -> list[str]:
    """Return what is wrong with a description of the API, which stands beside a name alone."""
    found = faults(text)
    if not _OPENING.match(text):
        found.append("does not begin with a capital letter")
    if len(text.split()) < FEWEST:
        found.append(f"has fewer than {FEWEST} words")
    return found


def first_word(text: str) -> str | None:
    """Return the first word in lower case, or None where the text begins with code or a symbol."""
    match = _WORD.match(text.strip())
    return match.group().lower() if match else None
