"""Addresses: telling them from paths, and showing them without their secrets."""

import re

from seg.errors import SourceError

# Path has taken one of the two slashes away.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def redact(url: str) -> str:
    """Returns an address without what may be secret in it: user, password and query."""
    return re.sub(r"\?.*", "?***", re.sub(r"(:/+)[^/?]*@", r"\1***@", url))


def refuse_address(text: str, remedy: str) -> None:
    """Raises SourceError where an address comes in place of a path."""
    if ADDRESS.match(text):
        raise SourceError(f"{redact(text)} is an address, expected a path; {remedy}.")
