"""Official heads: files in Meta's format, made of the original code's golden values."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from export import from_official, to_onnx
from seg import ArtifactError, Segmenter, SpecMismatch, cli
from seg.models import official_heads
from seg.models import official_weights as official
from seg.models.backbones import vit
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.checkpoint import load_net
from seg.models.class_names import ADE20K, VOC2012
from seg.models.official_heads import assemble, find_head, read_head

LOGITS = {"atol": 1e-4, "rtol": 1e-5}


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """A DINOv2 of 24 channels, as wide as the maps of the golden heads."""
    with pytest.MonkeyPatch.context() as patch:
        config = vit.ViTConfig(embed_dim=24, depth=12, num_heads=3)
        patch.setitem(BACKBONES, "tiny24", dinov2("tiny24", config))
        yield


@pytest.fixture(scope="module")
def values():
    path = Path(__file__).resolve().parents[1] / "golden" / "bn_head.npz"
    with np.load(path) as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


def write_head(path, values, case, **more):
    prefix = f"{case}.state."
    state = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    meta = {"mmseg_version": "0.27.0", "config": "norm_cfg = ...", "CLASSES": ("a", "b")}
    torch.save({"meta": meta, "state_dict": state, **more}, path)
    return path


def ade_head(path):
    torch.manual_seed(0)
    state = {
        "bn.weight": torch.rand(96) + 0.5,
        "bn.bias": torch.randn(96),
        "bn.running_mean": torch.randn(96),
        "bn.running_var": torch.rand(96) + 0.5,
        "bn.num_batches_tracked": torch.tensor(5),
        "conv_seg.weight": torch.randn(150, 96, 1, 1),
        "conv_seg.bias": torch.randn(150),
    }
    torch.save({"state_dict": {f"decode_head.{k}": v for k, v in state.items()}}, path)
    return path


@pytest.fixture(scope="module")
def ms(tmp_path_factory, values):
    return write_head(tmp_path_factory.mktemp("head") / "ms.pth", values, "ms4")


def of(path, wanted):
    return assemble(path, wanted, arch="tiny24", backbone="random", input_hw=(140, 140))


@torch.no_grad()
@pytest.mark.parametrize(("case", "layers"), [("ms4", (8, 9, 10, 11)), ("linear1", (11,))])
def test_all_of_voc_is_the_originals_head(values, tmp_path, case, layers):
    net, spec = of(write_head(tmp_path / "h.pth", values, case), None)
    assert (spec.layers, spec.classes, spec.merged) == (layers, VOC2012, ("background",))
    maps = values.get(f"{case}.concat", values[f"{case}.input_0"])
    assert_close(net.head(maps), values[f"{case}.logits"], **LOGITS)


@torch.no_grad()
def test_a_person_is_where_person_beats_all_others(values, ms):
    net, spec = of(ms, ["person"])
    assert spec.classes == ("background", "person") and len(spec.merged) == 20
    logits = net.head(values["ms4.concat"])
    golden = values["ms4.logits"]
    assert torch.equal(logits[:, 1] > logits[:, 0], golden.argmax(1) == 15)
    assert_close(logits[:, 1], golden[:, 15], **LOGITS)


@torch.no_grad()
def test_classes_keep_the_order_in_which_they_are_named(values, ms):
    net, spec = of(ms, ["dog", "person", "aeroplane"])
    assert spec.classes == ("background", "dog", "person", "aeroplane")
    found, golden = net.head(values["ms4.concat"]).argmax(1), values["ms4.logits"].argmax(1)
    for label, index in ((1, 12), (2, 15), (3, 1)):
        assert torch.equal(found == label, golden == index)


@torch.no_grad()
def test_ade20k_has_no_background_so_none_ever_wins(values, tmp_path):
    path = ade_head(tmp_path / "ade.pth")
    whole, spec = of(path, None)
    assert spec.classes == ("background", *ADE20K) and spec.classes[13] == "person"
    logits = whole.head(values["ms4.concat"])
    labels = logits.argmax(1)
    assert labels.min() >= 1 and len(labels.unique()) > 5 and logits.isfinite().all()
    person, _ = of(path, ["person"])
    two = person.head(values["ms4.concat"])
    assert torch.equal(two[:, 1] > two[:, 0], labels == 13)


def test_names_are_those_of_the_tables():
    assert (len(VOC2012), VOC2012[15], len(ADE20K), ADE20K[12]) == (21, "person", 150, "person")
    assert len({*VOC2012}) == 21 and len({*ADE20K}) == 150


def test_the_command_writes_a_checkpoint_that_exports_to_the_same_masks(
    ms, tmp_path, capsys, values
):
    """All classes by torch against two classes by ONNX Runtime, on the network's own grid."""
    flags = ["--head", str(ms), "--arch", "tiny24", "--backbone", "random", "--imgsz", "140", "140"]
    whole, person = tmp_path / "whole.pt", tmp_path / "person.pt"
    assert cli.run(from_official.main, [*flags, "--classes", "all", "--output", str(whole)]) == 0
    assert cli.run(from_official.main, [*flags, "--output", str(person)]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(whole), str(person)]
    assert "2 classes (background, person), 20 merged" in said.err
    spec = load_net(person)[1]
    assert "random" in spec.backbone and "head ms.pth sha256:" in spec.backbone
    target = tmp_path / "person.onnx"
    assert cli.run(to_onnx.main, ["--model", str(person), "--output", str(target)]) == 0
    image = np.random.default_rng(0).integers(0, 256, (140, 140, 3), dtype=np.uint8)
    two, all_classes = Segmenter(target, "cpu"), Segmenter(whole, "cpu")
    merged, scores = (one.predict_logits(image)[0].logits for one in (two, all_classes))
    best = scores.argmax(0)
    # The class that these random weights find most takes the person's part where person is rare.
    assert np.array_equal(merged[1] > merged[0], best == 15)
    np.testing.assert_allclose(merged[1], scores[15], atol=1e-3)
    masks = two(image).of("person"), all_classes(image).of("person")
    assert (masks[0] == masks[1]).mean() > 0.99


def test_nothing_is_overwritten_unasked(ms, tmp_path, capsys):
    path = tmp_path / "person.pt"
    path.write_text("mine")
    assert cli.run(from_official.main, ["--head", str(ms), "--output", str(path)]) == 1
    assert "--overwrite" in capsys.readouterr().err and path.read_text() == "mine"


class Config:
    """Something that a training framework might leave in `meta`."""


def test_objects_beside_the_weights_are_named_with_a_remedy(tmp_path, values, monkeypatch):
    path = write_head(tmp_path / "h.pth", values, "ms4", optimizer=Config())
    with pytest.raises(ArtifactError, match="holds objects beside its weights") as raised:
        read_head(path)
    assert "\n" not in str(raised.value)
    remedy = str(raised.value).split('python -c "')[1].removesuffix('"')
    monkeypatch.chdir(tmp_path)
    exec(remedy, {})
    assert len(read_head(tmp_path / "head.pth")) == 7


def test_damaged_and_foreign_files_are_refused(tmp_path, values):
    path = tmp_path / "h.pth"
    for content in (b"", b"<html>404</html>", b"PK\x03\x04 cut", pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(
            ArtifactError, match=r"not a weights file, or is damaged|not a segmentation"
        ):
            read_head(path)
    torch.save({"weight": torch.zeros(1000, 1920), "bias": torch.zeros(1000)}, path)
    with pytest.raises(ArtifactError, match=r"not a segmentation head of DINOv2: .* got nothing"):
        read_head(path)
    state = torch.load(write_head(path, values, "ms4"))["state_dict"]
    state["decode_head.bn.bias"] = torch.zeros(7)
    torch.save({"state_dict": state}, path)
    with pytest.raises(ArtifactError, match=r"bn\.bias has shape \(7,\); expected \(96,\)"):
        read_head(path)


def test_a_head_of_another_backbone_is_refused(ms):
    with pytest.raises(ArtifactError, match=r"reads 96 channels; dinov2_vits14 gives 384 .* 1536"):
        assemble(ms)
    with pytest.raises(ArtifactError, match="No backbone 'vgg'"):
        assemble(ms, arch="vgg")


def test_a_head_of_unknown_classes_is_refused(tmp_path, values):
    path = write_head(tmp_path / "h.pth", values, "cls")
    with pytest.raises(ArtifactError, match="scores 6 classes; expected 21 or 150"):
        of(path, None)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["persn"], "no class 'persn'; it has person"),
        (["person", "person"], "named twice"),
        (["background", "person"], "Leave 'background' out"),
    ],
)
def test_classes_that_are_not_there_are_refused(ms, wanted, said):
    with pytest.raises(SpecMismatch, match=said):
        of(ms, wanted)


def test_official_names_are_looked_for_and_downloaded(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(official, "fetch", lambda url, path, **_: asked.append((url, path)))
    monkeypatch.setattr(official, "WEIGHTS", tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DINOSEG_CACHE", str(tmp_path / "cache"))
    name = "dinov2_vitb14_ade20k_linear_head.pth"
    path = find_head(name)
    assert asked == [
        (f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/{name}", path),
    ]
    assert path.parent == tmp_path / "cache" / "weights"
    (tmp_path / name).write_text("here")
    assert find_head(name) == tmp_path / name and len(asked) == 1
    assert official_heads.arch_of(path) == "dinov2_vitb14"
    with pytest.raises(ArtifactError, match=r"No head at other\.pth"):
        find_head("other.pth")
