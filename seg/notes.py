"""Notes: the one way to speak while work goes on; results go to stdout, by the commands."""

import sys


def note(text: str) -> None:
    """Says something about progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
