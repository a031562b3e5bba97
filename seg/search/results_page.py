"""Results as one self-contained HTML page, or as a contact sheet."""

import base64
import html
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import cv2

from seg.errors import ArtifactError, SegError
from seg.files.atomic import atomic_write, check_writable
from seg.imaging.contact_sheet import Cell, contact_sheet, fit
from seg.imaging.image_io import read_image
from seg.imaging.native_stderr import opencv_silenced
from seg.results import UInt8

THUMBNAIL, QUALITY = 224, 80
MOST_ROWS = 100  # of a contact sheet
SUFFIXES = (".html", ".png", ".jpg")
log = logging.getLogger("dinoseg")
STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2em; color: #222 }
h2 { font-size: 15px; margin: 1.5em 0 .5em }
.row { display: flex; flex-wrap: wrap; gap: 8px }
figure { margin: 0; width: 224px }
img { max-width: 224px; max-height: 224px }
figcaption { overflow-wrap: anywhere; font-size: 12px; color: #555 }
.gone { background: #ddd; height: 120px }
.first { outline: 3px solid #2a7 }
"""


class Row(NamedTuple):
    """Images that belong together.

    Attributes:
        title: Above them, in the page.
        cells: The first one is what the others were found by.
    """

    title: str
    cells: Sequence[Cell]


def check_outputs(paths: Sequence[Path], overwrite: bool) -> None:
    """Raises ArtifactError where a file may not be written, or is neither a page nor a sheet."""
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise ArtifactError(f"Cannot write {path}: it ends in none of {', '.join(SUFFIXES)}.")
        check_writable(path, overwrite)


def write_results(paths: Sequence[Path], title: str, rows: Iterable[Row], overwrite: bool) -> None:
    """Writes rows of images into files: `.html` is a page, `.png` or `.jpg` a contact sheet.

    Raises:
        ArtifactError: A file cannot be written.
    """
    rows = list(rows)
    if paths and not rows:
        log.info("nothing to show; %s is not written", ", ".join(map(str, paths)))
        return
    for path in paths:
        if path.suffix.lower() == ".html":
            data = page(title, rows).encode("utf-8")
        else:
            if len(rows) > MOST_ROWS:
                log.info("%s shows %d of %d rows", path, MOST_ROWS, len(rows))
            sheet = contact_sheet([row.cells for row in rows[:MOST_ROWS]], _read)
            data = cv2.imencode(path.suffix.lower(), sheet)[1].tobytes()
        with atomic_write(path, overwrite=overwrite) as part:
            part.write_bytes(data)


def page(title: str, rows: Sequence[Row]) -> str:
    """Returns an HTML page that holds small copies of the images, and links to the files."""
    escape = partial(html.escape, quote=True)
    parts = [
        f"<h2>{escape(_text(row.title))}</h2><div class=row>"
        + "".join(_figure(cell, is_first) for cell, is_first in _marked(row))
        + "</div>"
        for row in rows
    ]
    return (
        f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n"
    )


def _marked(row: Row) -> list[tuple[Cell, bool]]:
    return [(cell, number == 0) for number, cell in enumerate(row.cells)]


def _figure(cell: Cell, is_first: bool) -> str:
    name = html.escape(_text(cell.path), quote=True)
    try:
        jpeg = cv2.imencode(
            ".jpg", fit(_read(cell.path), THUMBNAIL), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        )
        source = base64.b64encode(jpeg[1].tobytes()).decode("ascii")
        mark = " class=first" if is_first else ""
        shown = f'<img{mark} src="data:image/jpeg;base64,{source}" alt="{name}">'
    except SegError:
        shown = "<div class=gone>not readable</div>"
    link = "file://" + quote(cell.path.encode("utf-8", "surrogateescape"))
    caption = html.escape(_text(cell.caption))
    return (
        f'<figure><a href="{link}">{shown}</a><figcaption>{caption}<br>{name}</figcaption></figure>'
    )


def _read(path: str) -> UInt8:
    with opencv_silenced():
        return read_image(Path(path))


def _text(name: str) -> str:
    """Returns a name as valid text: a file's may be any bytes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
