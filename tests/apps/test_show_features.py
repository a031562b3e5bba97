"""apps/show_features.py on a model whose features are the mean colors of cells."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg import cli
from seg.cli import media
from seg.video.base import Frame, Processed, Source
from seg.video.recorder import Mp4Writer
from seg.video.sources import VideoFile
from tests.apps.test_evaluate import write_embedding

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def app():
    found = importlib.util.spec_from_file_location("show", ROOT / "apps/show_features.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path):
    return write_embedding(tmp_path / "colors.onnx")


def photo(seed):
    """A colorful disc on gray noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (240, 320, 3), np.uint8)
    disc = np.zeros((240, 320), np.uint8)
    cv2.circle(disc, (160, 120), 70, 1, -1)
    colors = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (320, 240))
    image[disc == 1] = colors[disc == 1]
    return image


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        cv2.imwrite(str(tmp_path / "photos" / f"{seed}.png"), photo(seed))
    return tmp_path / "photos"


def run(app, model, source, *words):
    fixed = ["--model", str(model), "--device", "cpu", "--input", str(source), "--no-show"]
    return cli.run(app.main, [*fixed, *map(str, words)])


def test_images_share_a_basis_that_is_kept_and_read_again(app, model, photos, tmp_path, capsys):
    basis = tmp_path / "basis.npz"
    words = ["--basis", basis, "--opacity", "1", "--output"]
    assert run(app, model, photos, *words, tmp_path / "one") == 0
    assert len(capsys.readouterr().out.splitlines()) > 3
    kept = basis.read_bytes()
    for name in ("0", "1", "2"):
        drawn = cv2.imread(str(tmp_path / "one" / f"{name}-features.png"))
        assert drawn.shape == (240, 320, 3)
    # One of them alone gets the colors that it had among the others.
    assert run(app, model, photos / "1.png", *words, tmp_path / "alone.png") == 0
    assert basis.read_bytes() == kept
    alone, together = (
        cv2.imread(str(path))
        for path in (tmp_path / "alone.png", tmp_path / "one" / "1-features.png")
    )
    np.testing.assert_array_equal(alone, together)
    assert run(app, model, photos / "1.png", "--opacity", 1, "--output", tmp_path / "own.png") == 0
    assert np.abs(cv2.imread(str(tmp_path / "own.png")).astype(int) - alone).mean() > 1


def test_clusters_and_similarity_are_drawn(app, model, photos, tmp_path):
    out = tmp_path / "a.png"
    assert run(app, model, photos / "0.png", "--view", "kmeans", "--output", out) == 0
    assert run(app, model, photos / "0.png", "--whole", "--output", out, "--overwrite") == 0
    words = ["--query", 160, 120, "--opacity", 1, "--output", out, "--overwrite"]
    assert run(app, model, photos / "0.png", *words) == 0
    drawn = cv2.imread(str(out))
    # A patch is 8 pixels: viridis's yellow is at the center of the one that was asked for.
    assert np.abs(drawn[124, 164].astype(int) - (37, 231, 253)).max() <= 12
    assert drawn[..., 2].astype(int).mean() < 200


def test_a_video_keeps_its_frames_and_says_how_colors_change(app, model, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    with Mp4Writer(clip) as writer:
        for index in range(12):
            writer.write(Frame(photo(0), index, index / 25), Processed(photo(0), {}))
        writer.end_of_stream()
    assert run(app, model, clip, "--output", tmp_path / "out.mp4", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["outputs"] == [str(tmp_path / "out.mp4")]
    assert report["mean_color_change_on_static_pixels"] < 3
    assert report["share_of_static_pixels"] > 0.9
    with VideoFile(tmp_path / "out.mp4") as video:
        assert sum(1 for _ in video) == 12


class Camera(Source):
    """Six photos, live."""

    live = True

    def __iter__(self):
        for index in range(6):
            yield Frame(photo(index), index, index / 25)

    def close(self):
        pass


def test_a_camera_takes_the_colors_of_its_first_frame(app, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(media, "open_input", lambda *words: Camera())
    assert run(app, model, 0, "--output", tmp_path / "out.mp4", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames_written"] >= 1
    with VideoFile(tmp_path / "out.mp4") as video:
        assert video.frame_hw == (240, 320)


def test_a_camera_has_no_basis_to_keep(app, model, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(media, "open_input", lambda *words: Camera())
    assert run(app, model, 0, "--basis", tmp_path / "none.npz") == 1
    assert "make it of images or a video first" in caplog.text


def test_an_image_that_cannot_be_read_is_named_and_the_others_drawn(
    app, model, photos, tmp_path, caplog
):
    (photos / "cut.png").write_bytes((photos / "0.png").read_bytes()[:99])
    assert run(app, model, photos, "--output", tmp_path / "out") == 1
    assert caplog.text.count("cut.png: not an image, or damaged") == 1
    assert len(list((tmp_path / "out").iterdir())) == 3
    for path in photos.glob("[0-2].png"):
        path.unlink()
    assert run(app, model, photos, "--output", tmp_path / "none") == 1
    assert "can be read; expected one to show" in caplog.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--query", "900", "9"], "expected x from 0 to 320 and y from 0 to 240"),
        (["--view", "similarity"], "go together"),
        (["--view", "kmeans", "--query", "1", "1"], "go together"),
        (["--whole", "--query", "1", "1"], "--whole is of --view pca"),
        (["--clusters", "3"], "--clusters is of --view kmeans"),
        (["--view", "kmeans", "--clusters", "9999"], "clusters of 1200 patches; got 9999"),
    ],
)
def test_flags_that_make_no_sense_are_one_line(app, model, photos, words, said, caplog):
    assert run(app, model, photos / "0.png", *words) == 1
    assert said in caplog.text and len(list(photos.parent.iterdir())) == 2


def test_a_basis_of_another_view_or_model_is_refused(app, model, photos, tmp_path, caplog):
    basis = tmp_path / "basis.npz"
    out = ["--output", tmp_path / "a.png", "--basis", basis]
    assert run(app, model, photos / "0.png", *out) == 0
    assert run(app, model, photos / "1.png", *out, "--overwrite", "--view", "kmeans") == 1
    assert "is of --view pca; got kmeans" in caplog.text
    basis.write_bytes(b"x")
    assert run(app, model, photos / "1.png", *out, "--overwrite") == 1
    assert "is damaged" in caplog.text


def test_a_model_has_to_be_named(app, photos, caplog):
    assert cli.run(app.main, ["--input", str(photos)]) == 1
    assert "export/from_official.py --backbone" in caplog.text


def test_the_help_shows_commands_and_fits_a_screen(app, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        app.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert any("python apps/show_features.py --model" in line for line in lines)
    assert len(lines) <= 50 and max(map(len, lines)) <= 100
