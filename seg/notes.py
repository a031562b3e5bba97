"""Notes: what the library says while work goes on; a host may silence or redirect it."""

import logging

log = logging.getLogger("dinoseg")


def note(text: str) -> None:
    """Says something about progress."""
    log.info("%s", text)
