"""Loading Meta's weights: where they are looked for, and what is refused."""

import hashlib
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from seg.errors import ArtifactError
from seg.models import official_weights as official
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import CONFIGS, DinoVisionTransformer
from seg.models.official_weights import load_backbone

NAME = "dinov2_vits14"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Empty places to look in, and a download that is refused."""
    monkeypatch.setattr(official, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DINOSEG_CACHE", str(tmp_path / "cache"))

    def refuse(url, path, **checks):
        raise ArtifactError(f"Cannot download {url} to {path} with {checks}.")

    monkeypatch.setattr(official, "fetch", refuse)
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    return {"repository": tmp_path / "weights", "hub": hub, "cache": tmp_path / "cache" / "weights"}


@pytest.fixture
def tiny_file(tmp_path, arrays, tiny, monkeypatch):
    """The golden weights in the official format, as a model called dinov2_tiny14."""
    monkeypatch.setitem(BACKBONES, "dinov2_tiny14", dinov2("dinov2_tiny14", tiny().config))
    path = tmp_path / "tiny.pth"
    torch.save(arrays("vit_tiny14_state"), path)
    return path


def put(source, folder, name):
    folder.mkdir(parents=True)
    return shutil.copy(source, folder / name)


def test_a_file_in_the_official_format_gives_the_originals_features(tiny_file, arrays):
    backbone = load_backbone("dinov2_tiny14", tiny_file)
    golden = arrays("vit_tiny14_io")
    expected = torch.cat(list(golden["70x70.gil_8_9_10_11.maps"]), dim=1)
    maps = torch.cat(backbone(golden["70x70.input"]).maps, dim=1)
    assert_close(maps, expected, atol=5e-5, rtol=1e-5)
    digest = hashlib.sha256(tiny_file.read_bytes()).hexdigest()
    assert backbone.source == f"tiny.pth sha256:{digest[:16]}"
    assert not any(p.is_meta for p in backbone.parameters())


def test_a_full_size_file_loads_as_it_was_saved(tmp_path, caplog):
    random = load_backbone(NAME, "random")
    path = tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save(random.vit.state_dict(), path)
    loaded = load_backbone(NAME, str(path), layers=(2, 11))
    assert (loaded.layers, loaded.channels) == ((2, 11), (384, 384))
    for key, value in random.vit.state_dict().items():
        assert torch.equal(loaded.vit.state_dict()[key], value), key


def test_random_weights_are_loud_and_the_same_each_time(tiny_file, caplog):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = load_backbone("dinov2_tiny14", "random")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = load_backbone("dinov2_tiny14", "random")
    assert first.source == "random (seed 0)"
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    assert [record.name for record in caplog.records] == ["dinoseg", "dinoseg"]
    assert "RANDOM WEIGHTS: dinov2_tiny14 is not trained" in caplog.text


def test_random_weights_are_drawn_as_the_official_code_does():
    vit = load_backbone(NAME, "random").vit
    for values in (vit.blocks[3].attn.qkv.weight, vit.blocks[7].mlp.fc2.weight, vit.pos_embed):
        assert values.std().item() == pytest.approx(0.02, rel=0.02)
    assert vit.blocks[3].attn.qkv.bias.abs().max() == 0
    assert vit.cls_token.abs().max() < 1e-5
    assert vit.mask_token.abs().max() == 0
    assert vit.blocks[0].ls1.gamma.unique().tolist() == [1.0]


@pytest.mark.parametrize("place", ["repository", "hub", "cache"])
def test_a_file_that_is_here_is_not_downloaded(tiny_file, places, place):
    put(tiny_file, places[place], "dinov2_tiny14_pretrain.pth")
    assert load_backbone("dinov2_tiny14").source.startswith("dinov2_tiny14_pretrain.pth sha256:")


def test_the_repository_comes_before_the_caches(tiny_file, places):
    put(tiny_file, places["hub"], "dinov2_tiny14_pretrain.pth")
    put(tiny_file, places["cache"], "dinov2_tiny14_pretrain.pth")
    first = put(tiny_file, places["repository"], "dinov2_tiny14_pretrain.pth")
    assert official.find_official("dinov2_tiny14") == first


ADDRESSES = {
    "dinov2_vits14": "dinov2_vits14/dinov2_vits14_pretrain.pth",
    "dinov2_vits14_reg": "dinov2_vits14/dinov2_vits14_reg4_pretrain.pth",
    "dinov2_vitg14_reg": "dinov2_vitg14/dinov2_vitg14_reg4_pretrain.pth",
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_the_official_address_is_asked_for_and_the_cache_filled(name, places, monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(official, "fetch", lambda *args, **checks: asked.append((args, checks)))
    caplog.set_level("INFO", "dinoseg")
    path = official.find_official(name)
    assert f"{path.name} is published under Apache-2.0." in caplog.messages
    url = f"https://dl.fbaipublicfiles.com/dinov2/{ADDRESSES[name]}"
    known = name == "dinov2_vits14"
    digest = "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"
    checks = {"size": 88_283_115 if known else None, "sha256": digest if known else None}
    assert asked == [((url, path), checks)]
    assert path == places["cache"] / Path(url).name
    assert ("No checksum" in caplog.text) is not known


def test_offline_the_message_passes_through():
    with pytest.raises(ArtifactError, match=r"Cannot download https://dl\.fbaipublicfiles\.com"):
        load_backbone(NAME)


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(
        ArtifactError,
        match="No backbone 'dinov3_s'; expected one of efficientnet_lite0, dinov2_vits",
    ):
        load_backbone("dinov3_s")


def refused(name, path):
    with pytest.raises(ArtifactError) as raised:
        load_backbone(name, path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    message = refused(NAME, tmp_path / "no.pth")
    assert (
        message
        == f"No weights file at {tmp_path / 'no.pth'}; omit it to download the official one."
    )


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("evil"),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>404</html>",
        b"PK\x03\x04 cut",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"aaaaaaaa",
        pickle.dumps(Evil()),
    ],
)
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "dinov2_vits14_pretrain.pth"
    path.write_bytes(content)
    assert "is not a weights file, or is damaged; expected the official" in refused(NAME, path)
    assert not Path("evil").exists()


def test_a_cut_file_is_refused(tiny_file):
    tiny_file.write_bytes(tiny_file.read_bytes()[:-1000])
    assert "is damaged" in refused("dinov2_tiny14", tiny_file)


@pytest.mark.parametrize("content", [[1, 2], {"model": {"a": torch.zeros(1)}}, {3: torch.zeros(1)}])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    assert "is not a plain state dict" in refused(NAME, path)


def test_keys_that_are_missing_or_too_many_are_counted(tiny_file, arrays):
    state = dict(arrays("vit_tiny14_state"))
    state["head.weight"] = torch.zeros(2, 48)
    del state["norm.bias"], state["blocks.3.ls1.gamma"]
    torch.save(state, tiny_file)
    assert refused("dinov2_tiny14", tiny_file) == (
        f"{tiny_file} does not hold dinov2_tiny14: tensors 2 missing (first blocks.3.ls1.gamma), "
        "1 unexpected (first head.weight)."
    )


def test_weights_of_another_variant_are_recognized(tmp_path):
    other = DinoVisionTransformer(CONFIGS["dinov2_vits14_reg"])
    path = tmp_path / "weights.pth"
    torch.save(other.state_dict(), path)
    assert refused(NAME, path) == (
        f"{path} does not hold {NAME}: tensors 1 unexpected (first register_tokens). "
        "It looks like dinov2_vits14_reg; ask for that model."
    )


def test_tensors_of_another_shape_are_counted(tiny_file, arrays, monkeypatch):
    state = arrays("vit_tiny14_state")
    torch.save(state | {"pos_embed": torch.zeros(1, 257, 48)}, tiny_file)
    assert "tensors 1 of another shape (first pos_embed)" in refused("dinov2_tiny14", tiny_file)


def test_a_half_precision_file_becomes_float32(tiny_file, arrays):
    torch.save({k: v.half() for k, v in arrays("vit_tiny14_state").items()}, tiny_file)
    assert {p.dtype for p in load_backbone("dinov2_tiny14", tiny_file).parameters()} == {
        torch.float32
    }
