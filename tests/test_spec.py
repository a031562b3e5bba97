"""ModelSpec: checked when it is made; a reader for today's files and for those of before."""

import dataclasses
import json
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seg import ArtifactError, ModelSpec, SpecMismatch
from seg.kinds import Precision
from seg.models.checkpoint import FORMAT, load_net, save_net
from seg.models.nets import build_net
from seg.runtimes.engine_metadata import EngineMetadata
from seg.runtimes.open import open_runtime
from seg.spec import Output, segmentation_outputs
from tests.conftest import ROOT

OLD = ROOT / "tests" / "old_files"
PEOPLE = segmentation_outputs(("background", "person"))
SPEC = ModelSpec(arch="lite", outputs=PEOPLE, input_hw=(1, 2), stride=32)


def old(kind):
    return json.loads((OLD / "specs.json").read_text("utf-8"))[kind]


def test_a_spec_survives_json():
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC
    assert SPEC.pad_rgb == SPEC.mean


names = st.text(min_size=1, max_size=8)
specs = st.builds(
    ModelSpec,
    arch=st.text(max_size=9),
    outputs=st.lists(
        st.builds(Output, names, names, st.lists(st.text(max_size=5), min_size=1).map(tuple)),
        min_size=1, unique_by=lambda output: output.name,
    ).map(tuple),
    input_hw=st.tuples(*[st.integers(1, 16384)] * 2),
    stride=st.integers(1, 64),
    batch=st.none() | st.integers(1, 99),
    fit=st.sampled_from(["letterbox", "center_crop"]),
    input_kind=st.sampled_from(["images", "frames"]),
    layers=st.lists(st.integers(0, 40), max_size=5).map(tuple),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    precision=st.sampled_from(Precision),
    weights_id=st.text(max_size=9),
)  # fmt: skip


@given(specs)
def test_any_spec_survives_json_and_files_hold_plain_values(spec):
    values = spec.to_dict()
    assert ModelSpec.from_dict(values) == ModelSpec.from_json(spec.to_json()) == spec
    assert type(values["precision"]) is str and json.loads(json.dumps(values)) == values


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
fields = st.sampled_from([*(f.name for f in dataclasses.fields(ModelSpec)), "classes", "task"])


@given(st.dictionaries(fields, anything, min_size=1, max_size=3), st.booleans())
def test_whatever_a_file_says_is_a_spec_or_one_line(change, is_old):
    values = (old("lite_pt") if is_old else SPEC.to_dict()) | change
    try:
        ModelSpec.from_json(json.dumps(values))
    except ArtifactError as error:
        assert "\n" not in str(error) and len(str(error)) < 999
    assert not isinstance(values, ModelSpec)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"arch": "lite"}', "null", '"lite"'])
def test_bad_specs_are_errors(text):
    with pytest.raises(ArtifactError, match="spec"):
        ModelSpec.from_json(text)
    values = SPEC.to_dict() | {"later": 1}
    with pytest.raises(ArtifactError, match="later"):
        ModelSpec.from_dict(values)


@pytest.mark.parametrize("depth", [500, 100_000])
def test_a_spec_that_is_nested_deeply_is_one_line(depth, tmp_path):
    for text in ("[" * depth, '{"arch": ' + "[" * depth + "]" * depth + "}"):
        with pytest.raises(ArtifactError, match=r"^The model's spec [^\n]*$"):
            ModelSpec.from_json(text)
    nested = []
    for _ in range(depth):
        nested = [nested]
    with pytest.raises(ArtifactError, match=r"^The model's spec says arch is [^\n]{,99}$"):
        ModelSpec.from_dict(SPEC.to_dict() | {"arch": nested})


BAD = [
    ("arch", 5, "str"),
    ("stride", "14", "int"),
    ("stride", 14.0, "int"),
    ("stride", True, "int"),
    ("stride", 0, "more than 0"),
    ("stride", 16385, "at most 16384"),
    ("input_hw", [640], r"tuple\[int, int\]"),
    ("input_hw", [640, -1], "more than 0"),
    ("input_hw", [-1, 0], "more than 0"),
    ("input_hw", [100_000, 100_000], "at most 16384"),
    ("canvas_hw", [644, "644"], r"tuple\[int, int\] \| None"),
    ("canvas_hw", 644, r"tuple\[int, int\] \| None"),
    ("canvas_hw", [64, 100], "multiples of the stride, 32"),
    ("mean", [0.5, 0.5], r"tuple\[float, float, float\]"),
    ("mean", [0.5, 0.5, "0.5"], r"tuple\[float, float, float\]"),
    ("mean", [0.5, 0.5, float("nan")], r"tuple\[float, float, float\]"),
    ("mean", [0.5, 0.5, 10**999], r"tuple\[float, float, float\]"),
    ("std", [0.2, 0.2, 0], "more than 0"),
    ("batch", "1", r"int \| None"),
    ("batch", 0, "more than 0"),
    ("layers", [3, -1], "0 or more"),
    ("precision", None, "one of float32, float16, bfloat16, int8"),
    ("precision", "float1", "one of float32, float16, bfloat16, int8"),
    ("fit", "stretch", "letterbox or center_crop"),
    ("input_kind", "video", "images or frames"),
    ("outputs", [], "at least one, with different names"),
    ("outputs", "scores", r"tuple\[.*Output, \.\.\.\]"),
]


@pytest.mark.parametrize(("field", "value", "expected"), BAD)
def test_a_field_of_another_kind_is_named_with_what_was_expected(field, value, expected):
    text = json.dumps(SPEC.to_dict() | {field: value})
    with pytest.raises(ArtifactError, match=f"says {field} is .*; expected {expected}\\."):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(("field", "value", "expected"), BAD)
def test_a_spec_is_checked_when_it_is_made(field, value, expected):
    value = tuple(value) if isinstance(value, list) else value
    with pytest.raises(ArtifactError, match=f"says {field} is .*; expected {expected}\\."):
        dataclasses.replace(SPEC, **{field: value})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"classes": "background"}, r"classes is 'background'; expected tuple\[str"),
        ({"classes": ["background", 1]}, r"classes is .*; expected tuple\[str"),
        ({"classes": []}, "classes is \\(\\); expected 1 to 255 names"),
        ({"classes": [f"class {i}" for i in range(257)]}, "expected 1 to 255 names"),
        ({"name": ""}, "name is ''; expected a word"),
        ({"task": ""}, "task is ''; expected a word"),
        ({"task": None}, "task is None; expected str"),
        ({"later": 1}, "does not know: 'later'"),
    ],
)
def test_an_output_is_checked_too(change, expected):
    output = SPEC.to_dict()["outputs"][0] | change
    with pytest.raises(ArtifactError, match=expected):
        ModelSpec.from_dict(SPEC.to_dict() | {"outputs": [output]})


@pytest.mark.parametrize("output", [None, "logits", [], {"name": "logits"}])
def test_an_output_that_is_none_is_one_line(output):
    with pytest.raises(ArtifactError, match=r"^The model's output [^\n]*$"):
        ModelSpec.from_dict(SPEC.to_dict() | {"outputs": [output]})


def test_a_thousand_classes_are_too_many_for_labels_of_a_byte_alone():
    names = tuple(f"class {i}" for i in range(1000))
    assert len(Output("scores", "classification", names).classes) == 1000


def test_outputs_are_found_by_their_task():
    scores = Output("scores", "classification", ("cat", "dog"))
    both = dataclasses.replace(SPEC, outputs=(*PEOPLE, scores))
    assert both.output("classification") is scores
    assert both.classes == ("background", "person")
    with pytest.raises(SpecMismatch, match="one output for retrieval; this one is for segmenta"):
        both.output("retrieval")
    with pytest.raises(SpecMismatch, match="one output for segmentation; this one is for class"):
        dataclasses.replace(SPEC, outputs=(scores,)).classes  # noqa: B018
    with pytest.raises(SpecMismatch, match="one output for classification"):
        others = (scores, dataclasses.replace(scores, name="more"))
        dataclasses.replace(SPEC, outputs=others).output("classification")


def test_whole_numbers_are_numbers_too():
    text = json.dumps(SPEC.to_dict() | {"mean": [0, 0, 0], "std": [1, 1, 1]})
    assert ModelSpec.from_json(text).std == (1, 1, 1)


def test_a_precision_may_be_given_as_files_have_it():
    assert dataclasses.replace(SPEC, precision="int8").precision is Precision.INT8


def test_files_of_before_mean_what_they_meant():
    spec = ModelSpec.from_dict(old("dinov2_onnx_float16"))
    assert spec.outputs == (Output("logits", "segmentation", ("background", "person")),)
    assert spec.classes == ("background", "person")
    assert (spec.arch, spec.merged) == ("dinov2_vits14", ("aeroplane", "bicycle"))
    assert (spec.input_hw, spec.canvas_hw) == ((360, 640), (364, 644))
    assert (spec.stride, spec.batch, spec.layers) == (14, 4, (8, 9, 10, 11))
    assert spec.precision is Precision.FLOAT16
    assert spec.backbone == "dinov2_vits14_pretrain.pth, sha256 b938bf1b"
    assert (spec.fit, spec.input_kind, spec.weights_id) == ("letterbox", "images", "")


@pytest.mark.parametrize("kind", ["person_lite_onnx", "lite_pt", "dinov2_pt_merged"])
def test_nothing_of_a_spec_of_before_is_lost(kind):
    before, now = old(kind), ModelSpec.from_dict(old(kind)).to_dict()
    assert now["outputs"][0]["classes"] == before.pop("classes")
    assert now["outputs"][0]["name"] == before.pop("outputs")
    assert before.items() <= now.items()


def test_the_oldest_files_are_read_where_their_extra_fields_are_true():
    oldest = old("lite_pt_of_the_first_version")
    assert ModelSpec.from_dict(oldest) == ModelSpec.from_dict(old("lite_pt"))
    with pytest.raises(ArtifactError, match="does not know: 'colours'"):
        ModelSpec.from_dict(oldest | {"colours": "BGR"})


def test_a_graph_of_raw_frames_is_told_from_a_network_of_images():
    spec = ModelSpec.from_dict(old("lite_onnx_mask"))
    assert spec.input_kind == "frames"
    assert spec.output("segmentation").name == "mask"
    with pytest.raises(ArtifactError, match="outputs is 'scores'; expected logits or mask"):
        ModelSpec.from_dict(old("lite_pt") | {"outputs": "scores"})


def test_the_shipped_model_is_read():
    with open_runtime(ROOT / "weights" / "person-lite.onnx", "cpu") as runtime:
        assert runtime.spec.classes == ("background", "person")
        assert runtime.spec.arch == "efficientnet_lite0"
        assert (runtime.spec.input_hw, runtime.spec.canvas_hw) == ((512, 512), None)
        assert runtime.spec.mean == (127 / 255,) * 3 and runtime.spec.std == (128 / 255,) * 3


def test_a_checkpoint_of_before_is_read(tmp_path):
    spec = ModelSpec.from_dict(old("lite_pt"))
    net = build_net(spec)
    save_net(tmp_path / "new.pt", net, spec)
    contents = torch.load(tmp_path / "new.pt", weights_only=True)
    torch.save(contents | {"spec": old("lite_pt")}, tmp_path / "old.pt")
    loaded, found = load_net(tmp_path / "old.pt")
    assert found == spec
    assert all(
        torch.equal(a, b) for a, b in zip(net.parameters(), loaded.parameters(), strict=True)
    )


def test_an_engine_of_before_is_read():
    metadata = EngineMetadata.read(OLD / "old.engine")
    assert (metadata.spec.classes, metadata.spec.canvas_hw) == (("background", "person"), (64, 96))
    assert metadata.spec.precision is Precision.FLOAT16


def test_a_checkpoint_written_by_hand_is_one_line(tmp_path):
    path = tmp_path / "a.pt"
    whole = {"format": FORMAT, "spec": SPEC.to_dict(), "state": {}}
    for change in ({"spec": None}, {"spec": whole["spec"] | {"stride": "32"}}):
        torch.save(whole | change, path)
        with pytest.raises(ArtifactError, match="spec"):
            load_net(path)
    for key in ("spec", "state"):
        torch.save({k: v for k, v in whole.items() if k != key}, path)
        with pytest.raises(ArtifactError, match=f"lacks {key}; take one"):
            load_net(path)
    for state in ([], "weights", {"stem": "weights"}, {1: torch.zeros(1)}):
        torch.save(whole | {"state": state}, path)
        with pytest.raises(ArtifactError, match=r"^[^\n]* weights [^\n]*$"):
            load_net(path)


def test_a_huge_network_without_its_weights_is_refused_at_once(tmp_path):
    huge = dataclasses.replace(SPEC, arch="dinov2_vitg14", stride=14, layers=(36, 37, 38, 39))
    torch.save({"format": FORMAT, "spec": huge.to_dict(), "state": {}}, tmp_path / "a.pt")
    start = time.process_time()
    with pytest.raises(ArtifactError, match="weights do not fit its spec"):
        load_net(tmp_path / "a.pt")
    assert time.process_time() - start < 10  # building it takes 30 s, comparing shapes 0.3 s
