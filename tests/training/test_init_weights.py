"""--init: a training that starts from a trained model says at first what that model says."""

import dataclasses
import shutil

import numpy as np
import onnxruntime as ort
import pytest
import torch

from seg import cli
from seg.errors import ArtifactError, SpecMismatch
from seg.exporting.onnx_graph import export_spec, write_onnx
from seg.models.checkpoint import load_net, save_net
from seg.models.nets import build_net
from seg.spec import ModelSpec, segmentation_outputs
from seg.training.init_weights import init_weights_from
from seg.training.trainer import Trainer
from train import main

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(96, 96),
    stride=32,
)
LITE = ["--arch", "lite", "--imgsz", "96", "96", "--crop", "64", "64", "--precision", "float32"]
LITE += ["--batch", "4", "--samples", "16", "--warmup", "2", "--epochs", "1"]


def views(count, seed):
    noise = np.random.default_rng(seed).random((count, 3, 8, 8), dtype=np.float32)
    return torch.nn.functional.interpolate(torch.from_numpy(noise), 96, mode="bilinear")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network whose batch norms have statistics of their own, as a checkpoint and as ONNX."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    net = build_net(SPEC).train()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    with torch.no_grad():
        for seed in range(8):
            net(views(4, seed))
    save_net(folder / "net.pt", net.eval(), SPEC)
    write_onnx(net, export_spec(SPEC, folder / "net.pt", None), folder / "net.onnx")
    return folder


def said(folder, images):
    """What ONNX Runtime makes of the file."""
    session = ort.InferenceSession(str(folder / "net.onnx"))
    return session.run(None, {"images": images.numpy()})[0]


@pytest.mark.parametrize("suffix", ["pt", "onnx"])
def test_it_says_what_the_file_says(trained, suffix):
    torch.manual_seed(1)
    net, fresh = build_net(SPEC).eval(), views(3, 100)
    expected = said(trained, fresh)
    with torch.inference_mode():
        assert np.abs(net(fresh).numpy() - expected).max() > 0.1
    text = init_weights_from(trained / f"net.{suffix}", net, SPEC, lambda: views(16, 1))
    assert text == f"starts from {trained / f'net.{suffix}'}"
    assert not net.training
    with torch.inference_mode():
        found = net(fresh).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_in_training_an_unfolded_net_says_it_too(trained):
    """There its batch norms take the batch's own statistics, which are those that were measured."""
    net, images = build_net(SPEC), views(16, 1)
    init_weights_from(trained / "net.onnx", net, SPEC, lambda: images)
    with torch.no_grad():
        found = net.train()(images).numpy()
    expected = said(trained, images)
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("suffix", ["pt", "onnx"])
def test_a_network_with_an_efficientnet_encoder_starts_from_a_file_too(tmp_path, suffix):
    spec = dataclasses.replace(SPEC, arch="efficientnet_lite0")
    torch.manual_seed(0)
    source = build_net(spec).train()
    with torch.no_grad():
        for seed in range(8):
            source(views(4, seed))
    save_net(tmp_path / "net.pt", source.eval(), spec)
    write_onnx(source, export_spec(spec, tmp_path / "net.pt", None), tmp_path / "net.onnx")
    torch.manual_seed(1)
    net, images = build_net(spec).eval(), views(16, 100)
    init_weights_from(tmp_path / f"net.{suffix}", net, spec, lambda: images)
    expected = said(tmp_path, images)
    with torch.inference_mode():
        found = net(images).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("suffix", ["pt", "onnx"])
@pytest.mark.parametrize("classes", [("background", "cat", "dog"), ("background", "cat")])
def test_other_classes_get_a_new_head_and_the_rest_stays(trained, suffix, classes):
    spec = dataclasses.replace(SPEC, outputs=segmentation_outputs(classes))
    net = build_net(spec)
    before = {name: part.clone() for name, part in net.state_dict().items()}
    text = init_weights_from(trained / f"net.{suffix}", net, spec, lambda: views(8, 1))
    assert text.endswith("its classes are others: a new head")
    after, source = net.state_dict(), load_net(trained / "net.pt")[0].state_dict()
    for name in ("head.weight", "head.bias", "aux.weight"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    name = "context.gate.weight"
    torch.testing.assert_close(after[name], source[name], rtol=0, atol=0)


def test_a_training_starts_there(trained, discs, tmp_path):
    """At a rate of nearly nothing it ends there too, but for the statistics of its images."""
    words = ["--data", str(discs), *LITE, "--lr", "1e-12", "--ema", "0"]
    run = tmp_path / "run"
    assert main([*words, "--init", str(trained / "net.pt"), "--output", str(run)]) == 0
    before, after = (load_net(p)[0] for p in (trained / "net.pt", run / "last.pt"))
    parts = dict(before.named_parameters())
    for name, part in after.named_parameters():
        torch.testing.assert_close(part, parts[name], rtol=0, atol=1e-9)


def test_a_resumed_training_goes_on_from_its_own_weights(trained, discs, tmp_path):
    start = tmp_path / "start.pt"
    shutil.copy(trained / "net.pt", start)
    words = ["--data", str(discs), *LITE, "--lr", "1e-3", "--ema", "0", "--init", str(start)]
    runs = {name: ["--output", str(tmp_path / name)] for name in ("whole", "parts")}
    assert main([*words, *runs["whole"], "--epochs", "2"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seg.training.trainer.Trainer._train", _stop_in_the_second())
        with pytest.raises(KeyboardInterrupt):
            main([*words, *runs["parts"], "--epochs", "2"])
    start.unlink()  # nobody needs it any more
    assert main([*words, *runs["parts"], "--epochs", "2", "--resume"]) == 0
    one, other = (load_net(tmp_path / name / "last.pt")[0].state_dict() for name in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def _stop_in_the_second():
    whole = Trainer._train

    def epoch(self, number):
        if number == 1:
            raise KeyboardInterrupt
        return whole(self, number)

    return epoch


def test_what_is_no_start_is_one_line_and_begins_no_run(trained, discs, tmp_path, capsys):
    narrow = dataclasses.replace(export_spec(SPEC, trained / "net.pt", None), precision="float16")
    write_onnx(load_net(trained / "net.pt")[0], narrow, tmp_path / "half.onnx")
    (tmp_path / "cut.onnx").write_bytes((trained / "net.onnx").read_bytes()[:5000])
    (tmp_path / "net.txt").write_text("no model")
    cases = {
        "none.pt": "No checkpoint at",
        "none.onnx": "No model at",
        "cut.onnx": "is damaged",
        "net.txt": "expected a checkpoint (.pt), or an .onnx of ours",
        "half.onnx": "in float16; of ONNX files it takes lite and efficientnet_lite0 in float32",
    }
    for name, line in cases.items():
        words = ["--data", str(discs), *LITE, "--init", str(tmp_path / name)]
        assert cli.run(main, [*words, "--output", str(tmp_path / "run")]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ") and line in error
    words = ["--data", str(discs), "--backbone", "random", "--init", str(trained / "net.onnx")]
    assert cli.run(main, [*words, "--output", str(tmp_path / "run")]) == 1
    assert "is lite; the training is of dinov2_vits14" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_head_on_other_layers_is_another_network(trained, tmp_path, tiny):
    one, other = (
        ModelSpec(
            arch="tiny",
            outputs=segmentation_outputs(SPEC.classes),
            input_hw=(84, 84),
            stride=14,
            layers=layers,
        )
        for layers in ((2, 3), (3,))
    )
    save_net(tmp_path / "one.pt", build_net(one), one)
    with pytest.raises(SpecMismatch, match=r"layers \[2, 3\]; the training is of tiny with \[3\]"):
        init_weights_from(tmp_path / "one.pt", build_net(other), other, pytest.fail)
    with pytest.raises(ArtifactError, match="No checkpoint"):
        init_weights_from(tmp_path / "two.pt", build_net(other), other, pytest.fail)


def test_the_frozen_backbone_is_not_the_files_to_change(tmp_path, tiny):
    """Its features are kept under its own hash, which other weights would belie."""
    spec = ModelSpec(
        arch="tiny",
        outputs=segmentation_outputs(SPEC.classes),
        input_hw=(84, 84),
        stride=14,
        layers=(3,),
    )
    torch.manual_seed(0)
    source, net = build_net(spec), build_net(spec)
    with torch.no_grad():
        for part in source.parameters():
            part.add_(1)
    save_net(tmp_path / "net.pt", source, spec)
    before = {name: part.clone() for name, part in net.state_dict().items()}
    init_weights_from(tmp_path / "net.pt", net, spec, pytest.fail)
    for name, part in net.state_dict().items():
        kept = before if name.startswith("backbone.") else source.state_dict()
        torch.testing.assert_close(part, kept[name], rtol=0, atol=0)
