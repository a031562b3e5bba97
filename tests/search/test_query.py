"""Queries: what is found, what is left out, and what is said."""

import base64
import html.parser
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, DataError
from seg.imaging.contact_sheet import Cell, contact_sheet
from seg.search.image_index import ImageIndex
from seg.search.query import embed_queries, query_paths, row_of, search
from seg.search.results_page import Row, check_outputs, page, write_results
from seg.search.update import update
from tests.search.conftest import embed, noise_image


@pytest.fixture
def indexed(index: ImageIndex, photos: Path) -> ImageIndex:
    update(index, [str(photos)], False, embed, lambda: None)
    return index


def ask(index: ImageIndex, path: Path, top: int):
    (answer,) = search(index, *embed_queries([path], embed)[:2], top)
    return answer


def test_the_nearest_are_those_of_brute_force(
    indexed: ImageIndex, photos: Path, tmp_path: Path
) -> None:
    query = tmp_path / "query.png"
    cv2.imwrite(str(query), cv2.addWeighted(noise_image(3), 0.7, noise_image(8), 0.3, 0))
    files = sorted(photos.iterdir())
    scores = embed([cv2.imread(str(path)) for path in files]) @ embed([cv2.imread(str(query))])[0]
    expected = [str(files[row]) for row in np.argsort(-scores)]
    answer = ask(indexed, query, 5)
    assert [hit.path for hit in answer.hits] == expected[:5]
    assert expected[:2] == [str(photos / "03.png"), str(photos / "08.png")]
    np.testing.assert_allclose(
        [hit.similarity for hit in answer.hits], np.sort(scores)[::-1][:5], atol=1e-6
    )


def test_a_query_of_the_index_does_not_find_its_own_file(indexed: ImageIndex, photos: Path) -> None:
    answer = ask(indexed, photos / "03.png", 4)
    assert len(answer.hits) == 4
    assert str(photos / "03.png") not in [hit.path for hit in answer.hits]


def test_more_than_the_gallery_holds_is_all_of_it_and_said(
    indexed: ImageIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "q.png"), noise_image(99))
    assert len(ask(indexed, tmp_path / "q.png", 100).hits) == 12
    assert caplog.messages[-1] == (
        "The index holds 12 images, fewer than --top 100; all are shown."
    )


def test_files_that_vanished_are_marked_and_named_once(
    indexed: ImageIndex, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "08.png").unlink()
    answer = ask(indexed, photos / "03.png", 11)
    assert [hit.path for hit in answer.hits if hit.is_missing] == [str(photos / "08.png")]
    assert caplog.messages[-1] == (
        f"1 image found is not there any more, such as {photos / '08.png'}; 'search_images.py "
        "remove --missing' takes them out of the index."
    )


def test_a_query_that_is_no_image_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.doc"
    path.write_text("words")
    with pytest.raises(DataError, match=r"notes\.doc: not an image, or damaged$"):
        embed_queries(query_paths(str(path)), embed)


def test_of_several_queries_those_that_can_be_read_are_answered(
    indexed: ImageIndex, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    queries = [photos / "01.png", tmp_path / "bad.png", photos / "02.png"]
    readable, vectors, faults = embed_queries(queries, embed)
    assert readable == [queries[0], queries[2]]
    np.testing.assert_allclose(vectors[1], embed([noise_image(2)])[0], atol=1e-6)
    assert faults == [f"{tmp_path / 'bad.png'}: not an image, or damaged"]


def test_a_list_names_images_line_by_line(photos: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{photos / '01.png'}\n\n  {photos / '02.png'}  \n")
    assert query_paths(str(listed)) == [photos / "01.png", photos / "02.png"]
    for text in ("", "dear diary\n"):
        listed.write_text(text)
        with pytest.raises(DataError, match="expected the path of an image in each line"):
            query_paths(str(listed))


def test_an_empty_index_is_one_line(index: ImageIndex, photos: Path) -> None:
    with pytest.raises(DataError, match="holds no image"):
        ask(index, photos / "01.png", 1)


class Images(html.parser.HTMLParser):
    """Collects what a page shows and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.sources, self.links, self.text = [], [], ""

    def handle_starttag(self, tag, attrs) -> None:
        values = dict(attrs)
        self.sources += [values["src"]] if "src" in values else []
        self.links += [values["href"]] if "href" in values else []

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_its_images_and_asks_nobody(indexed: ImageIndex, photos: Path) -> None:
    answer = ask(indexed, photos / "03.png", 2)
    parsed = Images()
    parsed.feed(page("Found", [row_of(answer)]))
    shown = [photos / "03.png", *(Path(hit.path) for hit in answer.hits)]
    assert len(parsed.sources) == 3
    for source, path in zip(parsed.sources, shown, strict=True):
        head, _, data = source.partition(",")
        assert head == "data:image/jpeg;base64"
        small = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert max(small.shape[:2]) == 224
        image = cv2.resize(cv2.imread(str(path)), small.shape[1::-1])
        assert np.abs(image.astype(int) - small).mean() < 5
    assert parsed.links == [f"file://{path}" for path in shown]
    assert f"{answer.hits[0].similarity:.3f}" in parsed.text


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    name = '"><script>alert(1)</script>&.png'
    cv2.imwrite(str(tmp_path / "x.png"), noise_image(1))
    (tmp_path / "x.png").rename(tmp_path / name.replace("/", "_"))
    bad = str(tmp_path / name.replace("/", "_"))
    text = page("<b>", [Row(bad, [Cell(bad, bad), Cell("/gone\udcff", "<i>")])])
    assert "<script" not in text and "<b>" not in text and "<i>" not in text
    assert "not readable" in text
    text.encode("utf-8")


def test_the_sheet_shows_each_image_in_its_place() -> None:
    colors = {"r": (0, 0, 250), "g": (0, 250, 0), "b": (250, 0, 0)}

    def read(path: str) -> np.ndarray:
        if path not in colors:
            raise DataError("gone")
        return np.full((30, 60, 3), colors[path], np.uint8)

    rows = [[Cell("r", ""), Cell("g", "")], [Cell("b", ""), Cell("gone", ""), Cell("r", "")]]
    sheet = contact_sheet(rows, read, side=60)
    assert sheet.shape == (120, 180, 3)
    places = {(15, 30): "r", (15, 90): "g", (75, 30): "b", (75, 150): "r"}
    for (row, column), name in places.items():
        assert tuple(sheet[row, column]) == colors[name]
    assert tuple(sheet[75, 90]) == (200, 200, 200)  # could not be read
    assert tuple(sheet[45, 30]) == tuple(sheet[15, 150]) == (255, 255, 255)


def test_outputs_are_checked_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="exists already"):
        check_outputs([tmp_path / "old.png"], overwrite=False)
    with pytest.raises(ArtifactError, match=re.escape("none of .html, .png, .jpg")):
        check_outputs([tmp_path / "a.pdf"], overwrite=False)


def test_a_page_and_a_sheet_are_written(tmp_path: Path, photos: Path) -> None:
    rows = [Row("one", [Cell(str(photos / "01.png"), "query")])]
    paths = [tmp_path / "a.html", tmp_path / "a.png"]
    write_results(paths, "Found", rows, overwrite=False)
    assert paths[0].read_text().startswith("<!doctype html>")
    assert cv2.imread(str(paths[1])).shape == (200, 200, 3)
