"""Training from cached features: the same as on features computed at once, and safe to stop."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seg import cli
from seg.data import open_dataset
from seg.errors import SegError
from seg.evaluation.segmentation import evaluate_segmenter
from seg.models.checkpoint import read_checkpoint
from seg.predictors.segmenter import Segmenter
from seg.runtimes.pytorch import TorchRuntime
from seg.training.cached_features import CachedRuntime, backbone_key
from seg.training.feature_cache import Cache
from seg.training.launch import train
from seg.training.run import Run
from seg.training.tasks.segmentation_config import SegmentationConfig
from tests.training.making import make_trainer
from train import main

ROOT = Path(__file__).resolve().parents[2]
TINY = SegmentationConfig.for_arch("tiny").with_changes(
    {
        "backbone": "random",
        "input_hw": (84, 84),
        "crop_hw": (80, 84),
        "batch": 4,
        "views": 2,
        "epochs": 2,
        "precision": "float32",
    }
)
MANY = TINY.with_changes({"views": 12})


def trainer(discs, folder, config=TINY, samples=slice(None)):
    data = open_dataset(str(discs))
    data = dataclasses.replace(data, train=data.train[samples])
    return make_trainer(config, [data], folder, folder / "cache")


def head(trained):
    return trained.net.head.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("[!.]*.features")}


def test_the_cache_holds_what_the_backbone_says_of_the_view(tiny, discs, tmp_path):
    got = trainer(discs, tmp_path)
    images, labels, _ = got.task.loader.view_at(3, 1)
    tokens = got.net.backbone(got.net.normalise(images))
    expected = torch.cat(tokens.maps, 1)[0].half().permute(1, 2, 0)
    for _ in range(2):
        maps, seen = got.task.views.view(3, 1)
        np.testing.assert_array_equal(maps, expected.numpy())
        np.testing.assert_array_equal(seen, labels[0].numpy())
    assert maps.shape == (6, 6, 4 * 48) and seen.shape == (84, 84)


def test_batches_are_the_views_of_the_images_that_the_epoch_draws(tiny, discs, tmp_path):
    got = trainer(discs, tmp_path).task.views
    batches = list(got.epoch(0))
    inputs, labels = (torch.cat([batch[i] for batch in batches]) for i in (0, 1))
    count = len(got.batches.samples)
    assert inputs.shape == (count, 192, 6, 6) and inputs.dtype == torch.float16
    known = {got.view(i, k)[0].tobytes(): i for i in range(count) for k in range(2)}
    drawn = [known[maps.permute(1, 2, 0).numpy().tobytes()] for maps in inputs]
    assert sorted(drawn) == list(range(count))
    assert labels.dtype == torch.int64 and set(labels.unique().tolist()) <= {0, 1, 255}
    again = torch.cat([maps for maps, _, _ in got.epoch(0)])
    other = torch.cat([maps for maps, _, _ in got.epoch(1)])
    assert torch.equal(inputs, again) and not torch.equal(inputs, other)


def test_a_head_from_the_cache_is_a_head_on_the_same_features_at_once(
    tiny, discs, tmp_path, monkeypatch
):
    cached = trainer(discs, tmp_path / "cached")
    rows = train(cached)
    assert files(tmp_path / "cached" / "cache")
    monkeypatch.setattr(Cache, "get", lambda self, key, make: make())
    monkeypatch.setattr("seg.training.cached_features.CachedFeatures.precompute", lambda self: None)
    direct = trainer(discs, tmp_path / "direct")
    direct_rows = train(direct)
    assert not files(tmp_path / "direct")
    assert same(head(cached), head(direct))
    for row, other in zip(rows, direct_rows, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def test_a_view_depends_on_its_image_and_not_on_the_others(tiny, discs, tmp_path):
    whole = trainer(discs, tmp_path).task.views
    part = trainer(discs, tmp_path, samples=slice(4, 7)).task.views
    for number in (0, 1):
        assert part._key(1, number) == whole._key(5, number)
        one, other = (f.batches.view_at(i, number) for f, i in ((part, 1), (whole, 5)))
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    assert not torch.equal(whole.batches.view_at(5, 0)[0], whole.batches.view_at(5, 1)[0])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"scale": (0.5, 1.0)},
        {"color": 0.1},
        {"crop_hw": (70, 70)},
        {"crop_hw": (79, 84)},  # on the same canvas
        {"input_hw": (98, 98)},  # a larger image under the same crop
    ],
)
def test_other_views_are_other_entries(tiny, discs, tmp_path, change):
    plain = trainer(discs, tmp_path).task.views
    other = trainer(discs, tmp_path, TINY.with_changes(change)).task.views
    assert plain._key(0, 0) != other._key(0, 0)


def test_the_same_image_with_another_mask_is_another_entry(tiny, discs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(discs, copy)
    data = open_dataset(str(discs))
    shutil.copy(copy / "masks" / "00.png", copy / "masks" / data.train[1].mask.name)
    plain, other = (trainer(d, tmp_path / "run").task.views for d in (discs, copy))
    assert plain._key(0, 0) == other._key(0, 0)
    assert plain._key(1, 0) != other._key(1, 0)


def test_validation_scores_what_the_whole_network_scores(tiny, discs, tmp_path):
    got = trainer(discs, tmp_path)
    valid = open_dataset(str(discs)).valid
    device = torch.device("cpu")
    whole = TorchRuntime(got.net, got.spec, device)
    cached = CachedRuntime(got.net, got.spec, device, got.task.views)
    pixels = np.random.default_rng(0).random((2, 3, 84, 56), dtype=np.float32)
    expected = whole.run(pixels)["logits"]
    for _ in range(2):
        np.testing.assert_allclose(cached.run(pixels)["logits"], expected, atol=2e-3)
    one, other = (
        evaluate_segmenter(Segmenter(runtime), valid).scores["pixel_accuracy"]
        for runtime in (whole, cached)
    )
    assert one == pytest.approx(other, abs=0.01)


def test_other_weights_are_another_backbone(tiny, discs, tmp_path):
    spec = trainer(discs, tmp_path).spec
    assert len(spec.weights_id) == 64
    assert backbone_key(spec) == backbone_key(dataclasses.replace(spec, backbone="elsewhere"))
    assert backbone_key(spec) != backbone_key(dataclasses.replace(spec, weights_id="0" * 64))


def test_the_command_says_the_size_first_and_reads_the_second_time(tiny, discs, tmp_path, caplog):
    args = ["--data", str(discs), *tiny, "--epochs", "1", "--cache-dir", str(tmp_path / "mine")]
    assert cli.run(main, [*args, "--output", str(tmp_path / "one")]) == 0
    # 12 images, 2 views: 2048 + 6 x 6 x 192 float16 + 84 x 84 labels, each.
    said = caplog.text
    assert "features of 24 views, 0 kept from before; 0.00 GB more into" in said
    assert str(tmp_path / "mine") in said
    before = files(tmp_path / "mine")
    assert sorted({len(data) for data in before.values()})[-1] == 2048 + 6 * 6 * 192 * 2 + 84 * 84
    assert main([*args, "--output", str(tmp_path / "two")]) == 0
    assert "24 kept from before" in caplog.text
    assert files(tmp_path / "mine") == before
    one, two = (read_checkpoint(tmp_path / name / "last.pt")["state"] for name in ("one", "two"))
    assert same(one, two)


def test_without_the_cache_nothing_is_kept(tiny, discs, tmp_path):
    args = ["--data", str(discs), *tiny, "--epochs", "1", "--no-cache"]
    assert main([*args, "--output", str(tmp_path / "run")]) == 0
    assert not files(tmp_path)


def test_resume_with_the_cache_is_exact(tiny, discs, tmp_path, monkeypatch):
    whole = trainer(discs, tmp_path / "whole")
    train(whole)
    keep = Run.save_epoch

    def stop(self, *epoch, **options):
        keep(self, *epoch, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        train(trainer(discs, tmp_path / "parts"))
    monkeypatch.setattr(Run, "save_epoch", keep)
    shutil.rmtree(tmp_path / "parts" / "cache")
    rest = trainer(discs, tmp_path / "parts")
    rest.resume()
    train(rest)
    assert len(rest.run.history) == 2 and same(head(whole), head(rest))


def fill_elsewhere(discs, folder):
    """Fills a cache in a process of its own, without an end."""
    code = (
        "import sys; from pathlib import Path\n"
        "from seg.models.backbones.registry import BACKBONES, dinov2\n"
        "from seg.models.backbones.vit import ViTConfig\n"
        "config = ViTConfig(embed_dim=48, depth=4, num_heads=3)\n"
        "BACKBONES['tiny'] = dinov2('tiny', config)\n"
        "import time; from seg.models.backbones.dinov2 import DinoBackbone as Backbone\n"
        "forward = Backbone.forward\n"
        # Slow enough to be stopped in the middle, on any machine.
        "Backbone.forward = lambda self, x: (time.sleep(0.02), forward(self, x))[1]\n"
        "sys.path.append(sys.argv[1])\n"
        "from test_cached_features import MANY, trainer\n"
        "trainer(sys.argv[2], Path(sys.argv[3]), MANY).task.views.precompute()"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, str(here), str(discs), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment)


def wait_for(count, folder, process):
    while len(files(folder)) < count and process.poll() is None:
        time.sleep(0.005)


def test_a_killed_cache_filled_by_two_runs_at_once_has_the_same_bytes(tiny, discs, tmp_path):
    whole = trainer(discs, tmp_path / "whole", MANY).task.views
    whole.precompute()
    process = fill_elsewhere(discs, tmp_path / "broken")
    wait_for(10, tmp_path / "broken", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 10 <= len(files(tmp_path / "broken")) < 12 * MANY.model.views
    process = fill_elsewhere(discs, tmp_path / "broken")
    trainer(discs, tmp_path / "broken", MANY).task.views.precompute()
    assert process.wait() == 0
    assert files(tmp_path / "broken") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--views", "-1"], "--views"), (["--arch", "lite", "--views", "2"], "lite")],
)
def test_views_that_make_no_sense_get_one_line(discs, tmp_path, flags, said, capsys):
    args = ["--data", str(discs), "--output", str(tmp_path / "run"), *flags]
    assert cli.run(main, args) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error:") and said in line


def test_features_of_another_precision_are_other_entries(tiny, discs, tmp_path):
    views = trainer(discs, tmp_path).task.views
    key = views._key(0, 0)
    views.precision = "bfloat16"
    assert views._key(0, 0) != key


def test_images_of_the_same_bytes_and_another_shape_are_other_entries(tiny, discs, tmp_path):
    views = trainer(discs, tmp_path).task.views
    for hw in ((28, 56), (56, 28)):
        maps = views.image_features(np.zeros((1, 3, *hw), np.float32))
        assert maps.shape[:2] == (hw[0] // 14, hw[1] // 14)


def test_other_layers_are_another_backbone(tiny, discs, tmp_path):
    spec = trainer(discs, tmp_path).spec
    assert backbone_key(spec) != backbone_key(dataclasses.replace(spec, layers=spec.layers[1:]))


def test_epochs_draw_from_every_view(tiny, discs, tmp_path, monkeypatch):
    views = trainer(discs, tmp_path, MANY, samples=slice(2)).task.views
    drawn = set()

    def view(index, number):
        drawn.add(number)
        return np.zeros((6, 6, 192), np.float16), np.zeros((84, 84), np.uint8)

    monkeypatch.setattr(views, "view", view)
    for epoch in range(60):
        list(views.epoch(epoch))
    assert drawn == set(range(12))


def test_a_feature_beyond_float16_is_one_line(tiny, discs, tmp_path, monkeypatch):
    views = trainer(discs, tmp_path).task.views
    monkeypatch.setattr(views.net, "features", lambda images: torch.full((1, 4, 2, 2), 1e5))
    with pytest.raises(SegError, match="does not fit into float16; train with --no-cache"):
        views.image_features(np.zeros((1, 3, 28, 28), np.float32))
