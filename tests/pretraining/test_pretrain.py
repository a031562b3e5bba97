"""A pre-training from end to end: what it writes, resuming, several processes, bad input."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from seg.errors import ArtifactError, DataError, SegError, SpecMismatch
from seg.models.official_weights import load_backbone, weights_id
from tests.pretraining.conftest import FLAGS

ROOT = Path(__file__).resolve().parents[2]
CLOSE = {"atol": 2e-5, "rtol": 1e-4}  # sums in another order


def command(*words, module=()):
    return [sys.executable, *module, "train.py", "pretrain", *map(str, words), *FLAGS]


def losses(contents):
    history = contents["pretraining"]["history"]
    return [{k: v for k, v in row.items() if k.startswith("train_")} for row in history]


def weights(contents):
    return contents["pretraining"]["teacher"] | contents["pretraining"]["student"]


def test_the_result_is_a_backbone_in_the_official_format(pretrain, tmp_path):
    contents = pretrain()
    backbone = load_backbone("dinov2_vitt14", tmp_path / "run" / "backbone.pth")
    card = json.loads((tmp_path / "run" / "backbone.json").read_text())
    assert weights_id(backbone) == card["weights_id"] == contents["spec"]["weights_id"]
    assert card["parent_weights_id"] == "" and card["steps"] == 2
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "last.pt", "backbone.pth", "backbone.json", "log.csv", "curves.png",
        "features-0.png", "features-1.png", "features-2.png",
    }  # fmt: skip


def test_a_continued_training_records_its_parent(pretrain, tmp_path):
    pretrain("first")
    file = tmp_path / "first" / "backbone.pth"
    pretrain("second", backbone=str(file))
    cards = [
        json.loads((tmp_path / name / "backbone.json").read_text()) for name in ("first", "second")
    ]
    assert cards[1]["parent_weights_id"] == cards[0]["weights_id"] != cards[1]["weights_id"]


def test_the_checkpoint_embeds_images(pretrain, tmp_path, noise):
    from seg.imaging.image_io import read_image
    from seg.predictors.embedder import Embedder

    pretrain()
    vector = Embedder(tmp_path / "run" / "last.pt", "cpu")(read_image(noise / "0.png")).vector()
    assert vector.shape == (192,)


def test_a_killed_run_resumes_as_if_it_had_not_been(noise, tmp_path, pretrain):
    words = ("--data", noise, "--out", tmp_path / "killed", "--steps", 16, "--save-every", 1)
    process = subprocess.Popen(command(*words), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if line.startswith("step 3/"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    from seg.models.checkpoint import read_checkpoint

    step = read_checkpoint(tmp_path / "killed" / "last.pt")["pretraining"]["step"]
    assert 2 <= step < 16
    subprocess.run([*command(*words), "--resume"], cwd=ROOT, check=True, capture_output=True)
    resumed = read_checkpoint(tmp_path / "killed" / "last.pt")
    whole = pretrain("whole", steps=16)
    assert resumed["pretraining"]["step"] == 16
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name
    assert losses(resumed) == losses(whole)


@pytest.mark.parametrize("center", ["softmax", "sinkhorn_knopp"])
def test_two_processes_train_as_one(noise, tmp_path, pretrain, center):
    one = pretrain("one", steps=3, method={"center_method": center})
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    words = command("--data", noise, "--out", tmp_path / "two", "--steps", 3, module=torchrun)
    place = words.index("--method-args") + 1
    words.insert(place, f"center_method={center}")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    from seg.models.checkpoint import read_checkpoint

    two = read_checkpoint(tmp_path / "two" / "last.pt")
    for ours, theirs in zip(losses(two), losses(one), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for name, value in weights(one).items():
        # AdamW divides by the gradient's size: where that is rounding, so is the direction of a
        # step of 2.5e-4. These are few; all others agree.
        assert (weights(two)[name] - value).abs().mean() < 2e-6, name


def test_two_parts_of_a_step_train_as_one(pretrain):
    """Without masks, which each part draws for itself, and KoLeo, which looks within a part."""
    method = {"mask_probability": 0.0, "koleo_loss_weight": 0.0}
    whole = pretrain("whole", method=method, steps=3)
    parts = pretrain("parts", method=method, steps=3, accumulate=2)
    for ours, theirs in zip(losses(parts), losses(whole), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for name, value in weights(whole).items():
        assert_close(weights(parts)[name], value, **CLOSE, msg=lambda text, n=name: f"{n}: {text}")


def test_unreadable_images_are_skipped_and_listed(pretrain, noise, tmp_path, caplog):
    folder = tmp_path / "data"
    folder.mkdir()
    for file in noise.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "broken.jpg").write_bytes(b"not an image")
    pretrain(data=folder, steps=5)
    assert "1 images could not be read:" in caplog.text and "broken.jpg" in caplog.text


def test_a_folder_of_broken_images_is_refused(pretrain, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for index in range(4):
        (folder / f"{index}.jpg").write_bytes(b"no")
    with pytest.raises(DataError, match="4 images in a row cannot be read"):
        pretrain(data=folder)


def test_a_loss_that_is_no_number_stops_with_step_and_files(pretrain, monkeypatch):
    from seg.pretraining import method

    monkeypatch.setattr(method, "koleo_loss", lambda rows: rows.sum() * float("nan"))
    with pytest.raises(SegError, match=r"The loss is nan in step 1; its images begin with .*png"):
        pretrain()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch": 16}, DataError, "--data has 8 images and a step takes 16"),
        ({"lr": 0.0}, SpecMismatch, "lr above 0"),
        ({"model": "efficientnet_lite0"}, SpecMismatch, "cannot be pre-trained; expected dinov2/"),
        ({"method": {"output_dim": 10**10}}, SpecMismatch, "output_dim 10000000000 with 4 images"),
        ({"stepz": 3}, SpecMismatch, "did you mean 'steps'?"),
        ({"method": {"hiden_dim": 3}}, SpecMismatch, "did you mean 'hidden_dim'?"),
        ({"backbone": "missing.pth"}, ArtifactError, "No weights file at missing.pth"),
        ({"resume": True}, ArtifactError, "holds no run to resume"),
        ({"accumulate": 3}, SpecMismatch, "accumulate to divide batch"),
    ],
)
def test_bad_input_is_one_line(pretrain, options, error, message):
    with pytest.raises(error) as caught:
        pretrain(**options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_teacher_of_another_size_is_refused(pretrain, tmp_path):
    pretrain()
    with pytest.raises(ArtifactError, match="does not hold dinov2_vits14"):
        pretrain("other", model="dinov2/vits14", backbone=str(tmp_path / "run" / "backbone.pth"))


def test_a_run_is_neither_replaced_nor_resumed_with_other_choices(pretrain):
    pretrain()
    with pytest.raises(ArtifactError, match="already holds a run"):
        pretrain()
    with pytest.raises(ArtifactError, match=r"lr was 0\.004, is 0\.1"):
        pretrain(resume=True, lr=0.1)


def test_the_command_reads_nested_arguments():
    from seg.pretraining.flags import read_pairs

    got = read_pairs(["local_view.num_views=4", "local_view.view_size=[42,42]", "a=b"], "--x")
    assert got == {"local_view": {"num_views": 4, "view_size": [42, 42]}, "a": "b"}
    with pytest.raises(SpecMismatch, match=r"--x word; expected NAME=VALUE\."):
        read_pairs(["word"], "--x")


def test_the_command_says_one_line_for_an_unknown_argument(noise, tmp_path):
    words = command("--data", noise, "--out", tmp_path / "x")
    done = subprocess.run(
        [*words, "local_vew.x=1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("has no argument 'local_vew'; did you mean 'local_view'?")
    assert os.linesep not in done.stderr.strip()


def test_neighbors_are_counted_before_the_first_step_and_at_the_end(pretrain, noise, tmp_path):
    classes = tmp_path / "classes"
    for part in ("train", "val"):
        for label, name in enumerate("ab"):
            (classes / part / name).mkdir(parents=True)
            for index in range(3):
                image = np.full((60, 60, 3), 40 + 150 * label + index, np.uint8)
                cv2.imwrite(str(classes / part / name / f"{part}{index}.png"), image)
    contents = pretrain(eval_data=str(classes), eval_every=100)
    rows = contents["pretraining"]["history"]
    assert [row["knn_top1"] for row in rows] == [1.0, 1.0]  # black and white: any network's


def test_a_collapse_during_training_is_said(pretrain, caplog):
    """Planted: features without differences, all gradients 0."""
    pretrain(steps=12, lr=1e-12, method={"layer_scale_init": 1e-9})
    assert "COLLAPSE: features hardly differ between images" in caplog.text
