"""Our ViT against values of the original code, its file format, and another library's models."""

import json

import pytest
import torch
from torch.testing import assert_close

from seg.errors import ShapeError, SpecMismatch
from seg.models.backbones.vit import CONFIGS, DinoVisionTransformer, ViTConfig

VIT = {"atol": 5e-5, "rtol": 1e-5}
CASES = [
    ("plain", "70x70"),
    ("plain", "56x98"),
    ("plain", "98x56"),
    ("registers", "70x70"),
    ("registers", "56x98"),
]


@pytest.fixture
def case(request, tiny, arrays):
    kind, size = request.param
    stem = "vit_tiny14_reg_io" if kind == "registers" else "vit_tiny14_io"
    values = {
        key.removeprefix(f"{size}."): value
        for key, value in arrays(stem).items()
        if key.startswith(f"{size}.")
    }
    return tiny(kind), values


each_case = pytest.mark.parametrize("case", CASES, indirect=True, ids=lambda c: f"{c[0]}-{c[1]}")


@each_case
@torch.no_grad()
def test_tokens_enter_the_first_block_as_in_the_original(case):
    vit, golden = case
    assert_close(vit.embed(golden["input"]), golden["prepare_tokens"], **VIT)


@each_case
@torch.no_grad()
def test_maps_are_those_of_the_original(case):
    vit, golden = case
    maps = torch.stack(vit.get_intermediate_layers(golden["input"], [8, 9, 10, 11]))
    assert_close(maps, golden["gil_8_9_10_11.maps"], **VIT)
    raw = torch.stack(vit.get_intermediate_layers(golden["input"], [2, 5, 8, 11], norm=False))
    assert_close(raw, golden["gil_2_5_8_11_nonorm.maps"], **VIT)


@each_case
@torch.no_grad()
def test_tokens_are_those_of_the_original(case):
    vit, golden = case
    tokens = vit.intermediate_tokens(golden["input"], [8, 9, 10, 11])
    assert_close(torch.stack([t.patches for t in tokens]), golden["gil_n4.tokens"], **VIT)
    assert_close(torch.stack([t.cls for t in tokens]), golden["gil_n4.cls"], **VIT)
    raw = vit.intermediate_tokens(golden["input"], [2, 5, 8, 11], norm=False)
    assert_close(torch.stack([t.cls for t in raw]), golden["gil_2_5_8_11_nonorm.cls"], **VIT)
    together = torch.cat((raw[-1].cls[:, None], raw[-1].registers, raw[-1].patches), dim=1)
    assert_close(together, golden["ff.x_prenorm"], **VIT)


@each_case
@torch.no_grad()
def test_the_last_features_are_those_of_the_original(case):
    vit, golden = case
    last = vit.forward_features(golden["input"])
    assert_close(last.cls, golden["ff.x_norm_clstoken"], **VIT)
    assert_close(last.patches, golden["ff.x_norm_patchtokens"], **VIT)
    assert_close(vit(golden["input"]), golden["forward"], **VIT)
    if vit.config.registers:
        assert_close(last.registers, golden["ff.x_norm_regtokens"], **VIT)
    else:
        assert last.registers.shape == (2, 0, 48)


@pytest.mark.parametrize("case", [CASES[0], CASES[3]], indirect=True, ids=["plain", "registers"])
@torch.no_grad()
def test_masked_patches_become_the_mask_token(case):
    vit, golden = case
    masked = vit.forward_features(golden["input"], golden["masks"])
    assert_close(masked.cls, golden["ff_masked.x_norm_clstoken"], **VIT)
    assert_close(masked.patches, golden["ff_masked.x_norm_patchtokens"], **VIT)


@pytest.mark.parametrize("case", [CASES[0], CASES[3]], indirect=True, ids=["plain", "registers"])
@torch.no_grad()
def test_every_block_does_what_the_original_does(case):
    vit, golden = case
    tokens = vit.intermediate_tokens(golden["input"], range(12), norm=False)
    assert_close(torch.stack([t.patches for t in tokens]), golden["blocks_nonorm.tokens"], **VIT)
    assert_close(torch.stack([t.cls for t in tokens]), golden["blocks_nonorm.cls"], **VIT)


@pytest.mark.parametrize("size", ["518x518", "364x644"])
@torch.no_grad()
def test_large_images_agree_with_the_original(tiny, arrays, size):
    vit, golden = tiny("plain"), arrays("vit_tiny14_io_large")
    images = golden[f"{size}.input_u8"].float() / 64 - 2
    tokens = vit.intermediate_tokens(images, [8, 9, 10, 11])
    assert_close(tokens[3].as_map(), golden[f"{size}.layer11.map"], **VIT)
    assert_close(tokens[3].cls, golden[f"{size}.forward"], **VIT)
    for name, values, channels in [
        ("layer08", tokens[0].as_map(), (0, 2, 3)),
        ("layer09", tokens[1].as_map(), (0, 2, 3)),
        ("layer10", tokens[2].as_map(), (0, 2, 3)),
        ("ff.x_norm_patchtokens", tokens[3].patches, (0, 1)),
    ]:
        expected = f"{size}.{name}."
        assert_close(values.mean(), golden[expected + "mean"], **VIT)
        assert_close(values.std(correction=0), golden[expected + "std"], **VIT)
        assert_close(values.flatten()[:64], golden[expected + "first64"], **VIT)
        assert_close(values.mean(channels), golden[expected + "channel_mean"], **VIT)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_state_dict_is_the_official_format(golden, name):
    models = json.loads((golden / "model_facts.json").read_text())["models"]
    facts = models[name.replace("vitg14_reg", "vitg14")]
    expected, count = facts["state_dict"], facts["parameter_count"]
    if name == "dinov2_vitg14_reg":  # not among the facts: the giant model and its four tokens
        expected = [*expected[:2], ["register_tokens", [1, 4, 1536]], *expected[2:]]
        count += 4 * 1536
    with torch.device("meta"):
        vit = DinoVisionTransformer(CONFIGS[name])
    assert [[key, list(value.shape)] for key, value in vit.state_dict().items()] == expected
    assert sum(p.numel() for p in vit.parameters()) == count
    norms = [module.eps for module in vit.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert norms == [facts["layer_norm_eps"]] * (2 * vit.config.depth + 1)
    assert (
        vit.config.antialias is models[name.replace("g14_reg", "l14_reg")]["interpolate_antialias"]
    )


def test_the_small_model_has_22_056_576_parameters():
    with torch.device("meta"):
        vit = DinoVisionTransformer(CONFIGS["dinov2_vits14"])
    assert sum(p.numel() for p in vit.parameters()) == 22_056_576


def flattened_for_transformers(vit):
    """Our encoder's tensors in the order of theirs, which splits qkv and the gated layer."""
    for key, value in vit.state_dict().items():
        if not key.startswith(("blocks", "norm")):
            continue
        pieces = 3 if "qkv" in key else 2 if "w12" in key else 1
        if key.endswith("weight") and pieces > 1:
            biases = vit.state_dict()[key.replace("weight", "bias")].chunk(pieces)
            for pair in zip(value.chunk(pieces), biases, strict=True):
                yield from pair
        elif pieces == 1:
            yield value


# Their plain model resizes positions by the ratio of the sizes, not by the recipe of the released
# weights, so it is compared on its own grid; their register model is right at any size.
@pytest.mark.parametrize(
    ("registers", "ffn", "grid", "hw"),
    [(0, "mlp", 5, (70, 70)), (0, "swiglu", 5, (70, 70)), (4, "mlp", 7, (56, 112))],
    ids=["plain", "giant", "registers"],
)
@torch.no_grad()
def test_transformers_computes_the_same(registers, ffn, grid, hw):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = ViTConfig(embed_dim=48, depth=3, num_heads=3, registers=registers, ffn=ffn, grid=grid)
    vit = DinoVisionTransformer(config)
    for value in vit.parameters():
        value.add_(torch.randn_like(value) * 0.1)
    shape = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3}
    shape |= {"patch_size": 14, "image_size": 14 * grid}
    if registers:
        theirs = transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(**shape, num_register_tokens=registers)
        ).eval()
        theirs.embeddings.register_tokens.copy_(vit.register_tokens)
    else:
        theirs = transformers.Dinov2Model(
            transformers.Dinov2Config(**shape, use_swiglu_ffn=ffn == "swiglu")
        ).eval()
    theirs.embeddings.cls_token.copy_(vit.cls_token)
    theirs.embeddings.position_embeddings.copy_(vit.pos_embed)
    theirs.embeddings.patch_embeddings.projection.load_state_dict(vit.patch_embed.proj.state_dict())
    encoder = [value for key, value in theirs.state_dict().items() if "embeddings" not in key]
    for target, source in zip(encoder, flattened_for_transformers(vit), strict=True):
        assert target.shape == source.shape
        target.copy_(source)
    images = torch.randn(2, 3, *hw)
    ours = vit.forward_features(images)
    together = torch.cat((ours.cls[:, None], ours.registers, ours.patches), dim=1)
    assert_close(together, theirs(images).last_hidden_state, **VIT)


def test_layers_come_in_the_order_asked_for(tiny):
    images = torch.randn(1, 3, 28, 28)
    late, early = tiny().intermediate_tokens(images, [7, 2])
    assert torch.equal(early.patches, tiny().intermediate_tokens(images, [2])[0].patches)
    assert torch.equal(late.patches, tiny().intermediate_tokens(images, [7])[0].patches)


@pytest.mark.parametrize("layers", [[], [-1], [3, 12]])
def test_a_block_that_is_not_there_is_named(tiny, layers):
    with pytest.raises(SpecMismatch, match="blocks 0 to 11; got layers"):
        tiny().get_intermediate_layers(torch.zeros(1, 3, 28, 28), layers)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 3, 500, 500), "Input 500x500 is not a multiple of 14; nearest is 504x504."),
        ((1, 3, 14, 5), "Input 14x5 is not a multiple of 14; nearest is 14x14."),
        ((1, 3, 0, 14), "Input 0x14 is not a multiple of 14; nearest is 14x14."),
        ((3, 28, 28), r"Images are \(B, 3, H, W\); got \(3, 28, 28\)."),
        ((1, 4, 28, 28), r"Images are \(B, 3, H, W\); got \(1, 4, 28, 28\)."),
    ],
)
def test_a_wrong_input_says_what_would_be_right(tiny, shape, words):
    with pytest.raises(ShapeError, match=words):
        tiny()(torch.zeros(shape))


def test_half_precision_weights_stay_half(tiny):
    vit = tiny("registers").half()
    assert vit.embed(torch.zeros(1, 3, 28, 42).half()).dtype == torch.float16
