"""Distillation: what the teacher says, where it disagrees, what the student learns."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax

from seg import Segmenter, cli
from seg.data import open_dataset
from seg.errors import SpecMismatch
from seg.evaluation.segmentation import evaluate_segmenter
from seg.models.checkpoint import read_checkpoint, save_net
from seg.models.nets import build_net
from seg.spec import ModelSpec, segmentation_outputs
from seg.training.losses import distillation
from seg.training.sample_loader import Batch, SampleLoader
from seg.training.tasks.distillation import DistillationTask
from seg.training.tasks.segmentation_config import LITE
from seg.training.teacher import Teacher, teacher_disagreement
from tests.training.making import config_from
from train import main

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(96, 96),
    stride=32,
)
SMALL = ["--imgsz", "96", "96", "--crop", "64", "64", "--precision", "float32", "--batch", "4"]
SMALL += ["--samples", "16", "--warmup", "2", "--ema", "0.8", "--scale", "0.8", "1.2"]


def constant(path: Path, margin: float, classes=SPEC.classes) -> Path:
    """Writes a network that says the same of every pixel: logits 0 and `margin`."""
    spec = dataclasses.replace(SPEC, outputs=segmentation_outputs(classes))
    net = build_net(spec)
    torch.nn.init.zeros_(net.head.weight)
    net.head.bias.data = torch.tensor([0.0, margin] + [-9.0] * (len(classes) - 2))
    save_net(path, net, spec)
    return path


@pytest.fixture(scope="module")
def taught(discs, tmp_path_factory):
    """A teacher that has learned the discs from ten images."""
    folder = tmp_path_factory.mktemp("teacher")
    args = ["--arch", "lite", "--data", str(discs), *SMALL, "--dice", "1"]
    assert main([*args, "--samples", "32", "--epochs", "8", "--output", str(folder / "run")]) == 0
    return folder / "run" / "last.pt"


def test_scores_are_log_probabilities_in_steps(tmp_path):
    models = [constant(tmp_path / "a.pt", 1.5), constant(tmp_path / "b.pt", -2.0)]
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    for chosen in (models[:1], models):
        teacher = Teacher(chosen, SPEC.classes, (96, 96), "cpu", tmp_path / "cache")
        scores = teacher.log_probs(image, "digest")
        margins = [1.5, -2.0][: len(chosen)]
        mean = np.mean([softmax([0, margin]) for margin in margins], axis=0)
        assert scores.dtype == np.uint8 and scores.shape == (18, 24, 2)
        assert np.abs(scores * -0.05 - np.log(mean)).max() <= 0.026


def test_what_was_said_is_kept(tmp_path, monkeypatch):
    teacher = Teacher(
        [constant(tmp_path / "a.pt", 1.5)], SPEC.classes, (96, 96), "cpu", tmp_path / "cache"
    )
    image = np.zeros((60, 80, 3), np.uint8)
    first = teacher.log_probs(image, "digest")
    monkeypatch.setattr(teacher, "_predict", lambda image: pytest.fail("asked again"))
    assert (teacher.log_probs(image, "digest") == first).all()


def test_disagreement_is_people_and_not_seams():
    labels = np.zeros((200, 200), np.uint8)
    labels[20:120, 20:60] = 1
    truth = np.zeros((200, 200), np.uint8)
    truth[18:122, 18:62] = 1  # the labeled one, two pixels too wide
    cv2.circle(truth, (140, 120), 25, 1, -1)  # someone whom nobody labeled
    scores = np.where(truth[..., None] == [0, 1], 0, 200).astype(np.uint8)
    found = teacher_disagreement(labels, scores, 0.7)
    assert found[(truth == 1) & (np.arange(200) > 100)].all()
    assert not found[:, :100].any()
    assert found.mean() < 1.5 * np.pi * 25**2 / labels.size
    unsure = np.full((200, 200, 2), 14, np.uint8)  # a half each
    assert not teacher_disagreement(labels, unsure, 0.7).any()


def test_the_labeled_beside_the_ignored_still_teach():
    """Two people touch and one is labeled; only the other one is ignored."""
    labels = np.zeros((100, 100), np.uint8)
    labels[20:80, 20:50] = 1
    truth = labels.copy()
    truth[20:80, 50:80] = 1
    scores = np.where(truth[..., None] == [0, 1], 0, 200).astype(np.uint8)
    found = teacher_disagreement(labels, scores, 0.7)
    assert found[22:78, 52:78].all() and not found[labels == 1].any()


def test_a_larger_box_has_a_finer_grid(tmp_path):
    model, image = constant(tmp_path / "a.pt", 1.5), np.zeros((60, 80, 3), np.uint8)
    for side, shape in ((96, (18, 24, 2)), (192, (36, 48, 2))):
        teacher = Teacher([model], SPEC.classes, (side, side), "cpu", tmp_path / "cache")
        assert teacher.log_probs(image, "digest").shape == shape


def test_weight_and_temperature_of_the_teacher_are_flags(discs, tmp_path):
    teacher = str(constant(tmp_path / "a.pt", 1.5))
    words = ["--teacher", teacher, *SMALL, "--distill-weight", "0.25", "--temperature", "3"]
    config, cpu = config_from(words, "distill"), torch.device("cpu")
    task = DistillationTask(config, [open_dataset(str(discs))], cpu, tmp_path / "cache")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 4, 4, generator=generator)
    soft = torch.randint(0, 100, (1, 2, 4, 4), generator=generator).to(torch.uint8)
    batch = Batch(torch.zeros(1), torch.zeros(1, 4, 4, dtype=torch.long), soft)
    losses = task._losses([logits, logits], batch)
    expected = 0.25 * distillation(logits, soft, 3.0, config.losses.dice)
    torch.testing.assert_close(losses["distill"], expected)


@pytest.mark.parametrize("augment", ["default", "official"])
def test_scores_go_with_their_pixels(discs, augment):
    """A teacher that says just what is labeled: in every view the two must still agree."""

    class Echo:
        def log_probs(self, image, digest):
            labels = next(x for x in samples if x.load()[0].tobytes() == image.tobytes()).load()[1]
            return np.where(labels[..., None] == [0, 1], 0, 200).astype(np.uint8)

    samples = open_dataset(str(discs)).train
    config = LITE.with_changes(
        {
            **{"input_hw": (100, 100), "crop_hw": (64, 64), "batch": 24, "samples": 24},
            **{"copy_paste_prob": 0.5, "augment": augment, "scale": (0.5, 1.5)},
        }
    )
    batch = next(SampleLoader([open_dataset(str(discs))], SPEC, config, Echo()).epoch(0))
    assert batch.soft_targets.shape == (24, 2, 64, 64) and batch.soft_targets.dtype == torch.uint8
    known = batch.labels != 255
    assert (known == (batch.soft_targets[:, 0] != 255)).all()
    guess = batch.soft_targets.argmin(1)  # the smaller step is the likelier class
    assert 0.05 < float(batch.labels[known].float().mean()) < 0.9
    assert float((guess == batch.labels)[known].float().mean()) > 0.99


def test_distillation_by_hand():
    """Against scipy: cells of 2 x 2 pixels, one of them with an unknown pixel."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 3, 2, 2)).astype(np.float32)
    soft = rng.integers(0, 120, (1, 3, 4, 4), dtype=np.uint8)
    soft[:, :, 0, 0] = 255
    said = softmax(soft[0] * -0.05 / 2.0, axis=0).reshape(3, 2, 2, 2, 2).mean((2, 4))
    guess = np.exp(log_softmax(logits[0] / 2.0, axis=0))
    divergence = rel_entr(said, guess).sum(0)
    expected = 4 * np.mean([divergence[0, 1], divergence[1, 0], divergence[1, 1]])
    got = distillation(torch.from_numpy(logits), torch.from_numpy(soft), 2.0)
    assert float(got) == pytest.approx(expected, rel=1e-4)
    said = softmax(soft[0] * -0.05, axis=0).reshape(3, 2, 2, 2, 2).mean((2, 4))
    parts = [part[1:].reshape(2, 4)[:, 1:] for part in (said, softmax(logits[0], axis=0))]
    overlap, either = (parts[0] * parts[1]).sum(1), (parts[0] + parts[1]).sum(1)
    dice = np.mean(1 - (2 * overlap + 1) / (either + 1))
    both = distillation(torch.from_numpy(logits), torch.from_numpy(soft), 2.0, 0.5)
    assert float(both) == pytest.approx(expected + 0.5 * dice, rel=1e-4)


def test_distillation_of_unknown_pixels_costs_nothing():
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    loss = distillation(logits, torch.full((1, 2, 8, 8), 255, dtype=torch.uint8), 2.0)
    loss.backward()
    assert float(loss.detach()) == 0 and not logits.grad.any()


def test_a_student_learns_from_its_teacher_alone(discs, taught, tmp_path):
    """Labels weigh nothing here, so whatever the student knows it has from the teacher."""
    args = ["distill", "--teacher", str(taught), *SMALL, "--data", f"{discs},val=13"]
    args += ["--ce", "0", "--dice", "0", "--images", str(discs / "images"), "--samples", "32"]
    assert main([*args, "--epochs", "6", "--output", str(tmp_path / "run")]) == 0
    student = Segmenter(tmp_path / "run" / "best_iou.pt")
    scores = evaluate_segmenter(student, open_dataset(str(discs)).valid).scores
    assert scores["foreground_iou"] > 0.5


def test_disagreement_is_reported_and_not_learned(discs, tmp_path):
    """A teacher that predicts a person everywhere disagrees with all of the background."""
    teacher = constant(tmp_path / "yes.pt", 9.0)
    args = ["distill", "--teacher", str(teacher), *SMALL, "--epochs", "1"]
    assert (
        main([*args, "--data", f"{discs},ignore_above=0.9", "--output", str(tmp_path / "run")]) == 0
    )
    rows = (tmp_path / "run" / "disagreement.csv").read_text().splitlines()
    assert rows[0] == "image,ignored"
    assert len(rows) == 1 + len(open_dataset(str(discs)).train)
    assert all(float(row.split(",")[1]) > 0.5 for row in rows[1:])


def test_a_teacher_that_only_disagrees_sees_no_other_data(discs, tmp_path, monkeypatch):
    """Where it teaches nothing, its scores are not computed and do not follow the views."""
    teacher = constant(tmp_path / "no.pt", -9.0)
    seen = []
    look = Teacher._predict

    def spy(self, image):
        seen.append(image)
        return look(self, image)

    monkeypatch.setattr(Teacher, "_predict", spy)
    shapes = []
    monkeypatch.setattr(
        "seg.training.tasks.distillation.distillation", lambda *args: shapes.append(args)
    )
    args = ["distill", "--teacher", str(teacher), *SMALL, "--epochs", "1", "--distill-weight", "0"]
    args += ["--cache-dir", str(tmp_path / "cache"), "--output", str(tmp_path / "run")]
    assert main([*args, "--data", str(discs), f"{discs},ignore_above=0.5,seed=1"]) == 0
    assert len(seen) == len(open_dataset(f"{discs},seed=1").train)
    assert not shapes


def test_resume_asks_for_the_same_teacher(discs, tmp_path, capsys):
    teacher = constant(tmp_path / "a.pt", 1.0)
    args = ["distill", "--teacher", str(teacher), *SMALL, "--data", str(discs), "--epochs", "1"]
    args += ["--output", str(tmp_path / "run")]
    assert main(args) == 0
    before = read_checkpoint(tmp_path / "run" / "last.pt")["state"]
    assert main([*args, "--resume"]) == 0
    after = read_checkpoint(tmp_path / "run" / "last.pt")["state"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    constant(teacher, 2.0)
    assert cli.run(main, [*args, "--resume"]) == 1
    assert "split and teacher as before" in capsys.readouterr().err


def test_a_teacher_with_other_classes_is_refused(tmp_path):
    path = constant(tmp_path / "cats.pt", 1.0, ("background", "cat"))
    with pytest.raises(SpecMismatch, match="knows background, cat; the student"):
        Teacher([path], SPEC.classes, (96, 96), "cpu", tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--teacher", "nowhere.onnx"], "nowhere.onnx"),
        (["--teacher", "{teacher}", "--temperature", "0"], "--temperature is 0"),
        (["--teacher", "{teacher}", "--views", "2"], "--views is 2"),
        (["--teacher", "{teacher}", "--images", "nowhere"], "nowhere does not exist"),
    ],
)
def test_bad_flags_get_one_line(discs, taught, tmp_path, flags, said, capsys):
    flags = [flag.format(teacher=taught) for flag in flags]
    args = ["distill", *SMALL, "--data", str(discs), "--output", str(tmp_path / "run"), *flags]
    assert cli.run(main, args) == 1
    said_line = capsys.readouterr().err.splitlines()[-1]
    assert said in said_line


def test_ignore_above_needs_a_teacher(discs, tmp_path, capsys):
    args = ["--arch", "lite", *SMALL, "--data", f"{discs},ignore_above=0.5"]
    assert cli.run(main, [*args, "--output", str(tmp_path / "run")]) == 1
    assert "train.py distill" in capsys.readouterr().err
