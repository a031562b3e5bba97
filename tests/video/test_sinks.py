import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, SourceError
from seg.results import Mask
from seg.video.base import Frame, Processed
from seg.video.sinks import ImageFiles, MaskFolder

IMAGE = np.full((30, 40, 3), (10, 20, 200), np.uint8)
LABELS = np.arange(1200, dtype=np.int64).reshape(30, 40).astype(np.uint8)
PROCESSED = Processed(IMAGE, {"segmentation": Mask(LABELS, ("background", "person"))})


def frame(index, name=""):
    return Frame(IMAGE, index, index / 25, name)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_masks_are_class_indices_named_by_number_or_by_image(tmp_path):
    with MaskFolder(tmp_path / "new" / "masks") as sink:
        sink.write(frame(0), PROCESSED)
        sink.write(frame(31), PROCESSED)
        sink.write(frame(1, "street"), PROCESSED)
    names = sorted(path.name for path in sink.folder.iterdir())
    assert names == ["000000.png", "000031.png", "street.png"]
    np.testing.assert_array_equal(read(sink.folder / "000031.png"), LABELS)


def test_a_folder_that_holds_files_is_refused(tmp_path):
    (tmp_path / "mine.png").write_text("")
    with pytest.raises(ArtifactError, match="holds files already"):
        MaskFolder(tmp_path)
    with pytest.raises(ArtifactError, match="is a file"):
        MaskFolder(tmp_path / "mine.png")
    MaskFolder(tmp_path, overwrite=True).write(frame(0), PROCESSED)
    assert (tmp_path / "000000.png").exists()


def test_images_go_where_their_names_say(tmp_path):
    sink = ImageFiles({"a": tmp_path / "x" / "a é.png"})
    sink.write(frame(0, "a"), PROCESSED)
    sink.close()
    assert sink.written == [tmp_path / "x" / "a é.png"]
    np.testing.assert_array_equal(cv2.imdecode(np.fromfile(sink.written[0], np.uint8), 1), IMAGE)


def test_an_existing_image_and_an_unknown_format_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(ArtifactError, match="--overwrite"):
        ImageFiles({"a": tmp_path / "a.png"})
    with pytest.raises(SourceError, match=r"ends in \.png or \.jpg"):
        ImageFiles({"a": tmp_path / "a.docx"})
    assert (tmp_path / "a.png").read_bytes() == b"mine"


def test_a_file_that_appears_meanwhile_stays(tmp_path):
    images, masks = ImageFiles({"a": tmp_path / "a.png"}), MaskFolder(tmp_path / "masks")
    (tmp_path / "a.png").write_bytes(b"mine")
    masks.write(frame(0, "b"), PROCESSED)
    for sink, name in ((images, "a"), (masks, "b")):
        with pytest.raises(ArtifactError, match="--overwrite"):
            sink.write(frame(0, name), PROCESSED)
    assert (tmp_path / "a.png").read_bytes() == b"mine" and images.written == []


def test_an_image_too_large_for_its_format_is_one_line(tmp_path):
    sink = ImageFiles({"a": tmp_path / "a.jpg"})
    with pytest.raises(SourceError, match=r"cannot write 70000x1 as \.jpg; try \.png"):
        sink.write(frame(0, "a"), Processed(np.zeros((1, 70_000, 3), np.uint8), {}))
    assert list(tmp_path.iterdir()) == []
