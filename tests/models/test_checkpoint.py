"""Which weights a checkpoint may leave out, and how they are found again."""

import dataclasses
import hashlib

import pytest
import torch

from seg.models.backbones.registry import BACKBONES, PublishedFile, dinov2
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.models.checkpoint import load_net, published_names, save_net
from seg.models.nets import build_net
from seg.models.official_weights import load_backbone, weights_id
from seg.spec import ModelSpec, segmentation_outputs

CONFIG = ViTConfig(embed_dim=48, depth=4, num_heads=3)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Publishes a backbone whose file is in the cache; returns the file."""
    monkeypatch.setenv("DINOSEG_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "weights" / "small_pretrain.pth"
    path.parent.mkdir(parents=True)
    torch.manual_seed(1)
    torch.save(DinoVisionTransformer(CONFIG).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = PublishedFile(name=path.name, license="MIT", url="https://example.org", sha256=digest)
    info = dataclasses.replace(dinov2("small", CONFIG), weights=file)
    monkeypatch.setitem(BACKBONES, "small", info)
    return path


def network(layers=(0, 2), path=None):
    """A network on the published backbone, or on a file's."""
    backbone = load_backbone("small", path, layers)
    spec = ModelSpec(
        arch="small",
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(28, 28),
        stride=14,
        layers=backbone.layers,
        backbone=backbone.source,
        weights_id=weights_id(backbone),
    )
    return build_net(spec, backbone).eval(), spec


def test_a_published_backbone_that_is_trained_is_left_in(published):
    net, _ = network()
    assert not published_names(net)
    net.backbone.requires_grad_(False)
    assert published_names(net) == {f"backbone.{name}" for name in net.backbone.state_dict()}


def test_another_file_of_the_published_name_is_left_in(published, tmp_path):
    torch.manual_seed(2)
    other = tmp_path / published.name
    torch.save(DinoVisionTransformer(CONFIG).state_dict(), other)
    net, _ = network(path=other)
    net.backbone.requires_grad_(False)
    assert not published_names(net)


def test_a_head_is_opened_on_the_layers_that_it_reads(published, tmp_path):
    net, spec = network(layers=(0, 2, 1, 3))
    net.requires_grad_(False)
    save_net(tmp_path / "head.pt", net, spec, without=published_names(net))
    images = torch.rand(1, 3, 28, 42)
    torch.testing.assert_close(load_net(tmp_path / "head.pt")[0](images), net(images))
