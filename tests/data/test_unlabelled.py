"""Pictures without labels: every pixel is ignored, and a video gives the frames that differ."""

import cv2
import numpy as np
import pytest

from seg.data.unlabelled import distinct_frames, open_unlabelled
from seg.errors import DataError, SourceError

CLASSES = ("background", "person")
SCENES = (0, 0, 0, 80, 80, 0, 160, 160, 80, 162)  # grey of each frame: three that differ


@pytest.fixture
def video(tmp_path):
    """Ten frames of 64 x 48 in three scenes that come back."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for grey in SCENES:
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    return path


def test_near_duplicates_are_left_out(video, tmp_path):
    folder = distinct_frames(video, tmp_path / "cache")
    assert sorted(p.name for p in folder.glob("*.jpg")) == [
        "000000.jpg",
        "000003.jpg",
        "000006.jpg",
    ]
    means = [cv2.imread(str(path)).mean() for path in sorted(folder.glob("*.jpg"))]
    assert np.allclose(means, [0, 80, 160], atol=3)


def test_a_video_is_read_once_and_a_half_read_one_again(video, tmp_path, monkeypatch):
    folder = distinct_frames(video, tmp_path / "cache")
    (folder / "frames.txt").unlink()  # as a killed run leaves it
    (folder / "000003.jpg").unlink()
    assert distinct_frames(video, tmp_path / "cache") == folder
    assert len(list(folder.glob("*.jpg"))) == 3
    monkeypatch.setattr("seg.data.unlabelled.VideoFile", lambda path: pytest.fail("read again"))
    assert distinct_frames(video, tmp_path / "cache") == folder


def test_a_video_that_lacks_frames_teaches_nothing(video, tmp_path):
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 3 // 4])
    for _ in range(2):
        with pytest.raises(SourceError, match=r"clip\.avi is cut or damaged"):
            distinct_frames(video, tmp_path / "cache")


def test_no_pixel_has_a_label(discs, video, tmp_path):
    texts = [f"{discs / 'images'},only=0*,weight=2", str(video)]
    folder, frames = open_unlabelled(texts, CLASSES, tmp_path / "cache")
    assert len(folder.train) == 10 and folder.weight == 2 and not folder.valid
    assert len(frames.train) == 3
    for sample in (folder.train[0], frames.train[0]):
        image, labels = sample.load()
        assert labels.shape == image.shape[:2] and (labels == 255).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere", "does not exist"),
        ("{discs}/images/00.png", "is one picture"),
        ("{discs}/images,val=3", "no more"),
        ("{discs}/images,negatives", "no more"),
        ("{discs}", "holds no pictures"),
    ],
)
def test_other_things_get_one_line(discs, tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        open_unlabelled([text.format(discs=discs)], CLASSES, tmp_path)


def test_what_is_no_video_says_so(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"a\.mp4"):
        open_unlabelled([str(tmp_path / "a.mp4")], CLASSES, tmp_path)
