import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from seg import cli


@pytest.fixture
def infer(load_app, tiny):
    app = load_app("infer_image")
    return lambda *words: cli.run(app.main, [*map(str, words), "--model", str(tiny)])


@pytest.fixture
def photo(here, red_square):
    """A PNG with a red square."""
    cv2.imwrite(str(here / "photo.png"), red_square())
    return here / "photo.png"


def labels(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_one_image_goes_beside_nothing_and_the_mask_is_right(
    infer, photo, here, square_labels, capsys
):
    assert infer("--input", photo, "--save-masks", "masks") == 0
    mask = labels(here / "masks" / "photo.png")
    assert (mask != square_labels()).sum() <= 12  # bilinear scores round the four corners
    image, before = labels(here / "photo-overlay.png"), labels(photo)
    background = mask == 0
    np.testing.assert_array_equal(image[background], before[background])
    assert np.abs(image[~background].astype(int) - before[~background]).mean() > 20
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "photo-overlay.png" and "1 image in" in out
    assert "tiny.onnx: tiny on ONNX Runtime" in err and "frames fitted into 96x64" in err


def test_no_opacity_and_no_outline_leave_the_image(infer, photo, here):
    assert infer("--input", photo, "--opacity", 0, "--no-outline", "--output", "same.png") == 0
    np.testing.assert_array_equal(labels(here / "same.png"), labels(photo))


def test_a_folder_goes_into_a_folder_and_a_damaged_image_is_said_last(
    infer, here, red_square, capsys
):
    folder = here / "meine Bilder"
    folder.mkdir()
    for name in ("b ü.png", "a.png"):
        cv2.imencode(".png", red_square())[1].tofile(folder / name)
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "notes.txt").write_text("hello")
    assert infer("--input", folder, "--output", "out") == 1
    assert sorted(p.name for p in (here / "out").iterdir()) == ["a-overlay.png", "b ü-overlay.png"]
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["out/a-overlay.png", "out/b ü-overlay.png"]
    assert "skipped, not an image" in err
    assert err.splitlines()[-1] == f"error: {folder / 'c.jpg'}: not an image, or damaged"


def test_subfolders_keep_their_place(infer, here, photo):
    (here / "in" / "x").mkdir(parents=True)
    shutil.copy(photo, here / "in" / "a.png")
    shutil.copy(photo, here / "in" / "x" / "a.png")
    assert infer("--input", "in", "--recursive", "--output", "out", "--save-masks", "masks") == 0
    results = {path.relative_to(here).as_posix() for path in here.rglob("*.png")}
    assert results >= {"out/a-overlay.png", "out/x/a-overlay.png", "masks/a.png", "masks/x/a.png"}


def test_an_image_that_cannot_be_read_is_an_error_and_no_count_of_none(infer, here, capfd):
    (here / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert infer("--input", "a.png") == 1
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines()[-1] == "error: a.png: not an image, or damaged"


def test_names_that_are_not_utf_8_are_done_with_the_others(request, here, photo, tiny):
    (here / "in").mkdir()
    for name in (b"caf\xe9", b"b"):
        shutil.copy(photo, os.fsencode(here) + b"/in/" + name + b".png")
    script = request.config.rootpath / "apps" / "infer_image.py"
    command = [sys.executable, script, "--input", "in", "--output", "out", "--model", tiny]
    child = subprocess.run(command, capture_output=True, cwd=here, check=False)
    assert child.returncode == 0
    assert child.stdout.splitlines()[:2] == [b"out/b-overlay.png", b"out/caf\xe9-overlay.png"]
    assert sorted(os.listdir(os.fsencode(here / "out"))) == [  # noqa: PTH208 - names as bytes
        b"b-overlay.png",
        b"caf\xe9-overlay.png",
    ]


def test_a_pattern_goes_into_overlays(infer, here, photo):
    shutil.copy(photo, here / "second.png")
    assert infer("--input", str(here / "*.png")) == 0
    assert {p.name for p in (here / "overlays").iterdir()} == {
        "photo-overlay.png",
        "second-overlay.png",
    }


@pytest.mark.parametrize("hw", [(1, 1), (1, 200), (333, 1)])
def test_tiny_and_thin_images(infer, here, hw):
    cv2.imwrite(str(here / "thin.png"), np.full((*hw, 3), (0, 0, 255), np.uint8))
    assert infer("--input", "thin.png", "--save-masks", "m") == 0
    assert labels(here / "m" / "thin.png").shape == hw
    assert labels(here / "thin-overlay.png").shape == (*hw, 3)


def test_nothing_is_overwritten_without_the_word(infer, photo, here, capsys):
    (here / "photo-overlay.png").write_bytes(b"mine")
    assert infer("--input", photo) == 1
    assert capsys.readouterr().err.endswith("choose a different --output, or add --overwrite.\n")
    assert (here / "photo-overlay.png").read_bytes() == b"mine"
    assert infer("--input", photo, "--overwrite") == 0
    assert labels(here / "photo-overlay.png").shape == (64, 96, 3)


@pytest.mark.parametrize("words", [["--output", "photo.png"], ["--save-masks", "."]])
def test_the_input_is_never_replaced(infer, photo, words, capsys):
    before = photo.read_bytes()
    assert infer("--input", photo, "--overwrite", *words) == 1
    assert "is an input" in capsys.readouterr().err
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--input", "nothing.png"], "There is no file or folder 'nothing.png'"),
        (["--input", "photo.png", "--output", "photo.docx"], "ends in .png or .jpg"),
        (["--input", "photo.png", "--output", "photo.png/x/y.png"], "Cannot write"),
    ],
)
def test_what_cannot_be_is_one_line(infer, photo, words, line, capsys):
    assert infer(*words) == 1
    error = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert len(error) == 1 and line in error[0]


def test_many_images_do_not_fit_into_one_file(infer, here, photo, capsys):
    shutil.copy(photo, here / "second.png")
    assert infer("--input", here, "--output", "one.png") == 1
    assert "2 images do not fit into the file one.png" in capsys.readouterr().err


def test_a_missing_model_is_one_line(load_app, photo, capsys):
    app = load_app("infer_image")
    assert cli.run(app.main, ["--input", str(photo), "--model", "no.onnx"]) == 1
    assert capsys.readouterr().err.startswith("error: No model at no.onnx")


@pytest.mark.parametrize("words", [["--opacity", "2"], ["--opacity", "x"], []])
def test_wrong_usage_exits_with_two(infer, photo, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        infer(*(["--input", photo] if words else []), *words)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["infer_image", "infer_video", "infer_webcam", "demo"])
def test_help_is_the_docstring(load_app, name, capsys):
    app = load_app(name)
    with pytest.raises(SystemExit) as stopped:
        app.main(["--help"])
    assert stopped.value.code == 0
    assert f"    python apps/{name}.py" in capsys.readouterr().out


def test_it_runs_as_a_script(request, photo, here, tiny):
    script = request.config.rootpath / "apps" / "infer_image.py"
    command = [sys.executable, script, "--input", photo, "--model", tiny]
    child = subprocess.run(command, capture_output=True, text=True, cwd=here, check=False)
    assert child.returncode == 0, child.stderr
    assert (here / "photo-overlay.png").exists()
