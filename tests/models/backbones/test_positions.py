"""The position embedding: values of the original code, and a cache that is never stale."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from seg.models.backbones import positions
from seg.models.backbones.positions import PositionCache, resize_in_graph, resize_positions
from seg.models.backbones.vit import DinoVisionTransformer

GRIDS = ["5x5", "4x7", "7x4", "7x7", "16x16", "23x23", "26x46", "37x37", "46x46"]


@pytest.mark.parametrize("recipe", ["offset0.1", "antialias"])
@pytest.mark.parametrize("grid", GRIDS)
def test_positions_are_those_of_the_original(arrays, recipe, grid):
    expected = arrays("pos_embed_interp")[f"{recipe}.{grid}"]
    h, w = (int(side) for side in grid.split("x"))
    source = arrays("vit_tiny14_state")["pos_embed"]
    resized = resize_positions(source, (h, w), antialias=recipe == "antialias")
    assert resized.shape == (1, 1 + h * w, 48)
    assert_close(resized[..., : expected.shape[2]], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("grid", GRIDS)
def test_positions_in_a_graph_of_any_size_are_those_of_the_original(arrays, grid):
    expected = arrays("pos_embed_interp")[f"offset0.1.{grid}"]
    source = arrays("vit_tiny14_state")["pos_embed"]
    resized = resize_in_graph(source, tuple(int(side) for side in grid.split("x")))
    assert_close(resized[..., : expected.shape[2]], expected, atol=1e-5, rtol=0)


def test_the_trained_size_is_returned_untouched():
    trained = torch.randn(1, 1 + 37 * 37, 8)
    assert resize_positions(trained, (37, 37), antialias=False) is trained


@pytest.fixture
def frozen():
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(1, 1 + 5 * 5, 8), requires_grad=False)


@pytest.fixture
def counted(monkeypatch):
    """The grids that were really interpolated."""
    grids = []

    def resize(source, grid_hw, antialias):
        grids.append(grid_hw)
        return resize_positions(source, grid_hw, antialias)

    monkeypatch.setattr(positions, "resize_positions", resize)
    return grids


def test_each_size_is_interpolated_once(frozen, counted):
    cache = PositionCache()
    for _ in range(3):
        cache.resized(frozen, (4, 7), False)
        cache.resized(frozen, (7, 4), False)
    assert counted == [(4, 7), (7, 4)]


def test_only_the_last_few_sizes_are_kept(frozen, counted):
    cache = PositionCache()
    for side in range(6, 6 + PositionCache.capacity + 1):
        cache.resized(frozen, (side, side), False)
    counted.clear()
    cache.resized(frozen, (14, 14), False)
    cache.resized(frozen, (6, 6), False)
    assert counted == [(6, 6)]


def first_block_of(vit):
    short = DinoVisionTransformer(replace(vit.config, depth=1))
    short.load_state_dict(vit.state_dict(), strict=False)
    return short.eval().requires_grad_(False)


def add_in_place(vit):
    with torch.no_grad():
        vit.pos_embed.add_(1)


def step_an_optimizer(vit):
    vit.pos_embed.grad = torch.ones_like(vit.pos_embed)
    torch.optim.SGD([vit.pos_embed], lr=1.0).step()


def load_a_state(vit):
    state = vit.state_dict()
    vit.load_state_dict(state | {"pos_embed": state["pos_embed"] + 1})


def load_by_assignment(vit):
    state = vit.state_dict()
    vit.load_state_dict(state | {"pos_embed": state["pos_embed"] + 1}, assign=True)


def change_dtype(vit):
    vit.double()


def put_another_parameter(vit):
    vit.former = [vit.pos_embed]  # the old one lives on, so that only identity tells them apart
    vit.pos_embed = nn.Parameter(vit.pos_embed + 1, requires_grad=False)


CHANGES = [
    add_in_place,
    step_an_optimizer,
    load_a_state,
    load_by_assignment,
    change_dtype,
    put_another_parameter,
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_cache_never_outlives_the_values(tiny, change):
    vit = tiny().requires_grad_(False)
    vit(torch.zeros(1, 3, 56, 98))
    change(vit)
    fresh = resize_positions(vit.pos_embed, (4, 7), antialias=False)
    cached = vit._positions.resized(vit.pos_embed, (4, 7), False)
    assert cached.dtype == vit.pos_embed.dtype
    assert torch.equal(cached, fresh)


def test_a_trained_embedding_gets_its_gradient_and_is_never_cached(tiny):
    vit = tiny()
    images = torch.zeros(1, 3, 28, 42)
    with torch.no_grad():
        vit(images)
    vit(images).square().sum().backward()
    assert vit.pos_embed.grad.abs().max() > 0
    assert vit._positions._entries == {}


def test_values_cached_in_inference_mode_serve_a_later_training_step(tiny):
    vit = tiny()
    vit.pos_embed.requires_grad_(False)
    images = torch.zeros(1, 3, 28, 42)
    with torch.inference_mode():
        expected = vit(images).clone()
    got = vit(images)
    got.sum().backward()
    assert torch.equal(got, expected)
    assert vit.patch_embed.proj.weight.grad is not None


def test_a_compiled_model_sees_a_change_of_weights(tiny):
    vit, images = first_block_of(tiny()), torch.randn(1, 3, 28, 42)
    compiled = torch.compile(vit, backend="eager", fullgraph=True)
    for _ in range(2):
        assert torch.equal(compiled(images), vit(images))
        add_in_place(vit)


def test_the_cache_is_in_no_file_and_no_copy(tiny):
    vit = tiny().requires_grad_(False)
    keys = list(vit.state_dict())
    vit(torch.zeros(1, 3, 28, 42))
    assert list(vit.state_dict()) == keys
    for twin in (copy.deepcopy(vit), pickle.loads(pickle.dumps(vit))):
        assert twin._positions._entries == {}


def exported(vit, images, path):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    torch.onnx.export(
        vit, (images,), path, dynamo=True, external_data=False, opset_version=20, verbose=False
    )
    session = runtime.InferenceSession(path)
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    return [node.op_type for node in onnx.load(path).graph.node], logits


# torch's exporter warns of its own use of torch's older names.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
@pytest.mark.parametrize("kind", ["plain", "registers"])
def test_an_export_holds_the_embedding_of_its_size_and_no_resize(tiny, tmp_path, kind):
    vit, images = first_block_of(tiny(kind)), torch.randn(1, 3, 56, 98)
    with torch.inference_mode():  # as a runtime calls it
        expected = vit(images)
    operators, logits = exported(vit, images, tmp_path / "net.onnx")
    assert "Resize" not in operators
    np.testing.assert_allclose(logits, expected, atol=5e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_an_export_after_a_change_of_weights_is_still_right(tiny, tmp_path):
    vit, images = first_block_of(tiny()), torch.randn(1, 3, 56, 98)
    vit(images)
    add_in_place(vit)
    operators, logits = exported(vit, images, tmp_path / "net.onnx")
    assert "Resize" in operators
    np.testing.assert_allclose(logits, vit(images), atol=5e-5, rtol=1e-5)
