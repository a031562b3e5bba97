"""Images without labels: every pixel is ignored, and a video gives the frames that differ."""

import cv2
import numpy as np
import pytest
from PIL import Image

from seg.data.unlabeled import distinct_frames, open_unlabeled
from seg.errors import DataError, SourceError
from tests.conftest import as_user

CLASSES = ("background", "person")
SCENES = (0, 0, 0, 80, 80, 0, 160, 160, 80, 162)  # gray of each frame: three that differ


@pytest.fixture
def video(tmp_path):
    """Ten frames of 64 x 48 in three scenes that come back."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for gray in SCENES:
        writer.write(np.full((48, 64, 3), gray, np.uint8))
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
    monkeypatch.setattr("seg.data.unlabeled.VideoFile", lambda path: pytest.fail("read again"))
    assert distinct_frames(video, tmp_path / "cache") == folder


def test_no_pixel_has_a_label(discs, video, tmp_path):
    texts = [f"{discs / 'images'},only=0*,weight=2", str(video)]
    folder, frames = open_unlabeled(texts, CLASSES, tmp_path / "cache")
    assert len(folder.train) == 10 and folder.weight == 2 and not folder.valid
    assert len(frames.train) == 3
    for sample in (folder.train[0], frames.train[0]):
        image, labels = sample.load()
        assert labels.shape == image.shape[:2] and (labels == 255).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere", "does not exist"),
        ("{discs}/images/00.png", "is one image"),
        ("{discs}/images,val=3", r"option 'val=3'; expected PATH\[,weight=W\]\[,only=PATTERN\]"),
        ("{discs}/images,negatives", "bad option 'negatives'; expected PATH"),
        ("{discs}", "holds no images"),
    ],
)
def test_other_things_get_one_line(discs, tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        open_unlabeled([text.format(discs=discs)], CLASSES, tmp_path)


def test_what_is_no_video_says_so(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"a\.mp4"):
        open_unlabeled([str(tmp_path / "a.mp4")], CLASSES, tmp_path)


def test_an_animation_is_a_video_and_a_still_gif_an_image(tmp_path):
    frames = [Image.new("L", (64, 48), gray) for gray in (0, 80, 160)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    (data,) = open_unlabeled([str(tmp_path / "moves.gif")], CLASSES, tmp_path / "cache")
    assert len(data.train) == 3
    frames[0].save(tmp_path / "still.gif")
    with pytest.raises(DataError, match="is one image"):
        open_unlabeled([str(tmp_path / "still.gif")], CLASSES, tmp_path / "cache")


def test_a_video_that_lacks_frames_teaches_nothing(video, tmp_path):
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 3 // 4])
    for _ in range(2):
        with pytest.raises(SourceError, match=r"clip\.avi is cut or damaged"):
            distinct_frames(video, tmp_path / "cache")


def test_subfolders_of_images_are_searched_where_asked(discs, tmp_path):
    (data,) = open_unlabeled([f"{discs},recursive,only=0*"], CLASSES, tmp_path / "cache")
    assert len(data.train) == 20  # images and masks


def test_a_folder_without_permission_is_one_line(open_folder, tmp_path):
    (open_folder / "locked/images").mkdir(parents=True)
    (open_folder / "locked").chmod(0)
    for text in ("locked/images", "locked/images,weight=2", "locked"):
        with as_user(), pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
            open_unlabeled([str(open_folder / text)], CLASSES, tmp_path)
    (open_folder / "locked").chmod(0o755)
