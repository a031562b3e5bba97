"""Files are whole or absent; specs and results are checked; the public names are these."""

import dataclasses
import errno
import json

import numpy as np
import pytest
import torch

import seg
from seg import ArtifactError, DataError, Mask, ModelSpec, ShapeError
from seg.files.atomic import atomic, refuse_overwrite, sha256_of
from seg.imaging.image_io import PHOTOS, photo
from seg.models.checkpoint import FORMAT, load_net

SPEC = ModelSpec(arch="lite", classes=("background", "person"), input_hw=(1, 2), stride=32)


def test_the_public_names_are_sorted_and_real():
    assert list(seg.__all__) == sorted(seg.__all__)
    assert all(hasattr(seg, name) for name in seg.__all__)


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(path) as part:
        part.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with atomic(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="Cannot write"), atomic(tmp_path / "file" / "x.txt"):
        pass


def test_overwriting_must_be_asked_for(tmp_path):
    refuse_overwrite(tmp_path / "none", overwrite=False)
    (tmp_path / "file").write_text("")
    refuse_overwrite(tmp_path / "file", overwrite=True)
    with pytest.raises(ArtifactError, match="--overwrite"):
        refuse_overwrite(tmp_path / "file", overwrite=False)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ArtifactError, match="No space left"), atomic(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_never_overwritten(tmp_path):
    with pytest.raises(ArtifactError, match="no file"):
        refuse_overwrite(tmp_path, overwrite=True)


def test_sha256_of_abc(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_spec_survives_json():
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC
    assert SPEC.pad_rgb == SPEC.mean


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"arch": "lite"}'])
def test_bad_specs_are_errors(text):
    with pytest.raises(ArtifactError, match="spec"):
        ModelSpec.from_json(text)
    values = json.loads(SPEC.to_json()) | {"later": 1}
    with pytest.raises(ArtifactError, match="later"):
        ModelSpec.from_dict(values)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("arch", 5, "str"),
        ("stride", "14", "int"),
        ("stride", 14.0, "int"),
        ("stride", True, "int"),
        ("stride", 0, "more than 0"),
        ("classes", "background", r"tuple\[str, \.\.\.\]"),
        ("classes", ["background", 1], r"tuple\[str, \.\.\.\]"),
        ("classes", [], "at least one name"),
        ("input_hw", [640], r"tuple\[int, int\]"),
        ("input_hw", [640, -1], "more than 0"),
        ("canvas_hw", [644, "644"], r"tuple\[int, int\] \| None"),
        ("canvas_hw", 644, r"tuple\[int, int\] \| None"),
        ("mean", [0.5, 0.5], r"tuple\[float, float, float\]"),
        ("mean", [0.5, 0.5, "0.5"], r"tuple\[float, float, float\]"),
        ("mean", [0.5, 0.5, float("nan")], r"tuple\[float, float, float\]"),
        ("std", [0.2, 0.2, 0], "more than 0"),
        ("batch", "1", r"int \| None"),
        ("precision", None, "str"),
    ],
)
def test_a_field_of_another_kind_is_named_with_what_was_expected(field, value, expected):
    text = json.dumps(json.loads(SPEC.to_json()) | {field: value})
    with pytest.raises(ArtifactError, match=f"says {field} is .*; expected {expected}\\."):
        ModelSpec.from_json(text)


def test_whole_numbers_are_numbers_too():
    text = json.dumps(json.loads(SPEC.to_json()) | {"mean": [0, 0, 0], "std": [1, 1, 1]})
    assert ModelSpec.from_json(text).std == (1, 1, 1)


def test_fields_of_older_files_are_let_pass_where_they_say_what_is_so():
    older = json.loads(SPEC.to_json()) | {"task": "segment", "colours": "RGB"}
    assert ModelSpec.from_dict(older) == SPEC
    with pytest.raises(ArtifactError, match="does not know: colours"):
        ModelSpec.from_dict(older | {"colours": "BGR"})


def test_a_checkpoint_written_by_hand_is_one_line(tmp_path):
    whole = {"format": FORMAT, "spec": SPEC.to_dict(), "state": {}}
    for change in ({"spec": None}, {"spec": whole["spec"] | {"stride": "32"}}):
        torch.save(whole | change, tmp_path / "a.pt")
        with pytest.raises(ArtifactError, match="spec"):
            load_net(tmp_path / "a.pt")
    for key in ("spec", "state"):
        torch.save({k: v for k, v in whole.items() if k != key}, tmp_path / "a.pt")
        with pytest.raises(ArtifactError, match=f"lacks {key}; take one"):
            load_net(tmp_path / "a.pt")


def test_a_mask_is_checked_and_knows_its_classes():
    mask = Mask(np.array([[0, 1], [1, 1]], np.uint8), ("background", "person"))
    assert mask.share("person") == 0.75
    assert np.array_equal(mask.of("background"), [[True, False], [False, False]])
    with pytest.raises(ShapeError, match="background, person"):
        mask.of("car")
    with pytest.raises(ShapeError, match="int64"):
        Mask(np.zeros((2, 2), np.int64), ("background",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        mask.labels = None


def test_a_data_error_lists_all_and_shows_some():
    error = DataError("30 faults:", [f"fault {i}" for i in range(30)])
    assert len(error.faults) == 30
    assert "fault 19" in str(error) and "fault 20" not in str(error)
    assert "10 more" in str(error)


def test_the_photos_are_there():
    assert all(photo(name).shape[2] == 3 for name in PHOTOS)
