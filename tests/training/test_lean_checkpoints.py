"""A checkpoint of a frozen run holds what was trained, and finds the published backbone again."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from export import to_onnx
from seg import Segmenter, cli
from seg.models.backbones.registry import BACKBONES, PublishedFile, dinov2
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.models.checkpoint import load_net, read_checkpoint
from train import main

CONFIG = ViTConfig(embed_dim=48, depth=4, num_heads=3)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Publishes a backbone whose file is in the cache; returns the file."""
    path = tmp_path / "cache" / "weights" / "small_pretrain.pth"
    path.parent.mkdir(parents=True)
    torch.manual_seed(1)
    torch.save(DinoVisionTransformer(CONFIG).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    info = dinov2("small", CONFIG)
    url = "https://example.org/small"
    file = PublishedFile(name=path.name, license="MIT", url=url, sha256=digest)
    monkeypatch.setitem(BACKBONES, "small", dataclasses.replace(info, weights=file))
    return path


def train(discs, folder, *words):
    args = ["--data", str(discs), "--arch", "small", "--imgsz", "84", "84", "--batch", "4"]
    args += ["--precision", "float32", "--views", "1", "--epochs", "2", "--device", "cpu"]
    return cli.run(main, [*args, "--output", str(folder), *words])


@pytest.mark.parametrize("ema", ["0", "0.5"])
def test_the_published_backbone_is_not_in_the_file(published, discs, tmp_path, ema):
    run = tmp_path / "run"
    assert train(discs, run, "--ema", ema) == 0
    for name in ("last.pt", "best_iou.pt", "best_loss.pt"):
        contents = read_checkpoint(run / name)
        assert not [key for key in contents["state"] if key.startswith("backbone.")]
        assert "head.conv_seg.weight" in contents["state"]
        assert (run / name).stat().st_size < published.stat().st_size / 4
    assert not [k for k in read_checkpoint(run / "last.pt")["training"]["net"] if "backbone" in k]
    net, spec = load_net(run / "last.pt")
    expected = torch.load(published, weights_only=True)
    held = net.get_submodule("backbone.vit").state_dict()
    assert held.keys() == expected.keys()
    assert all(torch.equal(held[key], expected[key]) for key in held)
    assert len(spec.weights_id) == 64


def test_a_private_backbone_is_in_the_file(published, discs, tmp_path):
    private = tmp_path / "private.pth"
    torch.manual_seed(2)
    torch.save(DinoVisionTransformer(CONFIG).state_dict(), private)
    assert train(discs, tmp_path / "run", "--backbone", str(private)) == 0
    published.unlink()
    private.unlink()
    net, _ = load_net(tmp_path / "run" / "last.pt")
    assert "backbone.vit.cls_token" in read_checkpoint(tmp_path / "run" / "last.pt")["state"]
    assert net(torch.zeros(1, 3, 28, 28)).shape == (1, 2, 2, 2)


def test_the_published_file_in_a_place_of_its_own_is_in_the_checkpoint(published, discs, tmp_path):
    """Whoever opens the checkpoint would not find it there."""
    elsewhere = tmp_path / "mine" / published.name
    elsewhere.parent.mkdir()
    published.rename(elsewhere)
    assert train(discs, tmp_path / "run", "--backbone", str(elsewhere)) == 0
    elsewhere.unlink()
    assert load_net(tmp_path / "run" / "last.pt")[1].arch == "small"


def test_an_interrupted_run_continues_to_the_same_weights(published, discs, tmp_path):
    for ema in ("0", "0.5"):
        whole = tmp_path / f"whole{ema}"
        assert train(discs, whole, "--ema", ema) == 0
        stopped = _stopped_after_one_epoch(discs, tmp_path / f"stopped{ema}", ema)
        assert train(discs, stopped, "--ema", ema, "--resume") == 0
        one, two = (read_checkpoint(folder / "last.pt")["state"] for folder in (whole, stopped))
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def _stopped_after_one_epoch(discs, folder, ema):
    from seg.training.run import Run

    save = Run.save_epoch

    def stop_after_the_first(self, *args, **kwargs):
        save(self, *args, **kwargs)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_epoch", stop_after_the_first)
        assert train(discs, folder, "--ema", ema) == 130
    return folder


def test_where_the_published_file_is_missing_the_line_says_how_to_get_it(
    published, discs, tmp_path, capsys
):
    assert train(discs, tmp_path / "run") == 0
    published.unlink()
    target = ["--output", str(tmp_path / "a.onnx")]
    assert cli.run(to_onnx.main, ["--model", str(tmp_path / "run" / "last.pt"), *target]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "holds a head alone" in line and "small_pretrain.pth" in line
    assert "download https://example.org/small" in line


def test_another_file_under_the_published_name_is_refused(published, discs, tmp_path, capsys):
    assert train(discs, tmp_path / "run") == 0
    torch.manual_seed(3)
    torch.save(DinoVisionTransformer(CONFIG).state_dict(), published)
    assert train(discs, tmp_path / "run", "--resume") == 1
    assert "backbone was" in capsys.readouterr().err
    target = ["--output", str(tmp_path / "a.onnx")]
    assert cli.run(to_onnx.main, ["--model", str(tmp_path / "run" / "last.pt"), *target]) == 1
    assert "holds other weights" in capsys.readouterr().err.splitlines()[-1]


def test_an_export_holds_all_of_it(published, discs, tmp_path):
    assert train(discs, tmp_path / "run") == 0
    model, exported = tmp_path / "run" / "last.pt", tmp_path / "a.onnx"
    assert cli.run(to_onnx.main, ["--model", str(model), "--output", str(exported)]) == 0
    image = np.random.default_rng(0).integers(0, 256, (84, 84, 3), dtype=np.uint8)
    expected = Segmenter(model, "cpu")(image).labels
    published.unlink()
    assert np.mean(Segmenter(exported, "cpu")(image).labels == expected) > 0.999


def test_a_new_training_starts_from_it(published, discs, tmp_path):
    assert train(discs, tmp_path / "one") == 0
    words = ["--init", str(tmp_path / "one" / "last.pt"), "--lr", "1e-12"]
    assert train(discs, tmp_path / "two", *words) == 0
    one, two = (read_checkpoint(tmp_path / n / "last.pt")["state"] for n in ("one", "two"))
    torch.testing.assert_close(one["head.conv_seg.weight"], two["head.conv_seg.weight"])


def test_a_changed_byte_is_damage(published, discs, tmp_path, capsys):
    """torch.load alone reads it: it does not compare the archive's checksums."""
    assert train(discs, tmp_path / "run") == 0
    path = tmp_path / "run" / "last.pt"
    weight = read_checkpoint(path)["state"]["head.conv_seg.weight"].numpy().tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(weight) + 5] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)
    assert train(discs, tmp_path / "run", "--resume") == 1
    assert "is damaged" in capsys.readouterr().err.splitlines()[-1]
    assert path.read_bytes() == content
