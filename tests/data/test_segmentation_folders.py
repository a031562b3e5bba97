"""Which layout a folder has, what its masks mean, and how it is split."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.data import Sample, open_dataset
from seg.data.check import check_samples
from seg.errors import DataError, SpecMismatch
from tests.conftest import as_user

Write = Callable[..., Path]
GRAY = (128, 128, 128)
# Sorted numpy.random.default_rng(0).permutation(170)[:24]: numpy keeps this stream stable.
OFFICIAL = [5, 10, 36, 41, 54, 64, 68, 75, 88, 90, 94, 97]
OFFICIAL += [100, 111, 122, 126, 143, 149, 152, 154, 156, 159, 160, 168]


def names(samples: Iterable[Sample]) -> list[str]:
    return [sample.image.name for sample in samples]


def pairs(write: Write, count: int, value: int = 255, folder: str = "set") -> None:
    for i in range(count):
        write(f"{folder}/images/{i}.jpg", GRAY)
        write(f"{folder}/masks/{i}.png", value)


def test_the_official_layout_is_split_146_to_24(tmp_path: Path) -> None:
    stems = [f"FudanPed{i:05}" for i in range(1, 75)] + [f"PennPed{i:05}" for i in range(1, 97)]
    for folder in ("PNGImages", "PedMasks"):
        (tmp_path / "PennFudanPed" / folder).mkdir(parents=True)
    for stem in stems:
        (tmp_path / "PennFudanPed/PNGImages" / f"{stem}.png").touch()
    for path in (tmp_path, tmp_path / "PennFudanPed"):
        data = open_dataset(str(path))
        assert data.description == "Penn-Fudan"
        assert [sample.name for sample in data.valid] == [stems[i] for i in OFFICIAL]
        assert [s.name for s in data.train] == [s for s in stems if s not in names_of(data.valid)]
        assert data.valid[0].mask == (tmp_path / "PennFudanPed/PedMasks" / "FudanPed00006_mask.png")


def names_of(samples: Iterable[Sample]) -> set[str]:
    return {sample.name for sample in samples}


def test_every_numbered_object_is_a_person(write: Write) -> None:
    write("PNGImages/a.png", GRAY, (3, 2))
    write("PedMasks/a_mask.png", [[0, 1, 2], [0, 7, 0]])
    (sample,) = open_dataset(str(write("readme.txt.png").parent)).train
    assert sample.load()[1].tolist() == [[0, 1, 1], [0, 1, 0]]


def test_palette_masks_are_read_as_indices(tmp_path: Path, write: Write) -> None:
    write("PNGImages/a.png", GRAY, (3, 1))
    mask = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    mask.putpalette([0, 0, 0, 0, 0, 0, 255, 0, 0])  # object 1 is drawn black
    (tmp_path / "PedMasks").mkdir()
    mask.save(tmp_path / "PedMasks/a_mask.png")
    assert open_dataset(str(tmp_path)).train[0].load()[1].tolist() == [[0, 1, 1]]


def test_penn_fudan_needs_the_class_person(write: Write, tmp_path: Path) -> None:
    write("PNGImages/a.png", GRAY)
    write("PedMasks/a_mask.png", 1)
    data = open_dataset(str(tmp_path), ("background", "dog", "person"))
    assert data.train[0].load()[1][0, 0] == 2
    with pytest.raises(SpecMismatch, match="'person'; the classes are background, cotton"):
        open_dataset(str(tmp_path), ("background", "cotton"))


def test_a_folder_with_its_own_split_keeps_it(write: Write, tmp_path: Path) -> None:
    for part, count in (("train", 3), ("valid", 2)):
        for i in range(count):
            write(f"{part}_images/{part}{i}.jpg", GRAY)
            write(f"{part}_masks/{part}{i}.png", 255)
    data = open_dataset(str(tmp_path))
    assert names(data.train) == ["train0.jpg", "train1.jpg", "train2.jpg"]
    assert names(data.valid) == ["valid0.jpg", "valid1.jpg"]
    assert "255 is person" in data.description and data.weight == 1
    with pytest.raises(DataError, match="its own split; omit val= and seed="):
        open_dataset(f"{tmp_path},val=2")


def test_a_half_copied_layout_names_what_is_missing(write: Write, tmp_path: Path) -> None:
    write("train_images/a.jpg", GRAY)
    write("valid_images/a.jpg", GRAY)
    with pytest.raises(DataError) as caught:
        open_dataset(str(tmp_path))
    assert [Path(fault).name for fault in caught.value.faults] == ["train_masks", "valid_masks"]


def test_pairs_are_split_by_their_seed(write: Write, tmp_path: Path) -> None:
    pairs(write, 10)
    # Sorted default_rng(7).permutation(10)[:3], and default_rng(0)'s first.
    data = open_dataset(f"{tmp_path / 'set'},val=3,seed=7,weight=1.5")
    assert names(data.valid) == ["0.jpg", "7.jpg", "8.jpg"]
    assert names(data.train) == [f"{i}.jpg" for i in (1, 2, 3, 4, 5, 6, 9)]
    assert (data.name, data.weight) == ("set", 1.5)
    assert names(open_dataset(str(tmp_path / "set")).valid) == ["4.jpg"]
    assert names(data.split("all")) == [f"{i}.jpg" for i in range(10)]


def test_one_image_is_trained_on_and_the_empty_split_says_so(write: Write, tmp_path: Path) -> None:
    pairs(write, 1)
    data = open_dataset(str(tmp_path / "set"))
    assert names(data.split("all")) == ["0.jpg"]
    with pytest.raises(DataError, match="'valid' is empty"):
        data.split("valid")
    with pytest.raises(DataError, match="No split 'test'; expected one of train, valid, all"):
        data.split("test")


@pytest.mark.parametrize("val", [4, 5, 100])
def test_a_split_leaves_something_to_train_on(write: Write, tmp_path: Path, val: int) -> None:
    pairs(write, 4)
    with pytest.raises(DataError, match=f"val={val} of 4 images"):
        open_dataset(f"{tmp_path / 'set'},val={val}")


def test_masks_of_0_and_255_are_binary_only_if_all_are(write: Write, tmp_path: Path) -> None:
    write("images/a.png", GRAY, (2, 1))
    write("images/b.png", GRAY, (2, 1))
    write("masks/a.png", [[0, 255]])
    write("masks/b.png", [[255, 0]])
    first, second = (
        sample.load()[1].tolist() for sample in open_dataset(str(tmp_path)).split("all")
    )
    assert (first, second) == ([[0, 1]], [[1, 0]])
    write("masks/b.png", [[1, 0]])
    data = open_dataset(str(tmp_path))
    first, second = (sample.load()[1].tolist() for sample in data.split("all"))
    assert (first, second) == ([[0, 255]], [[1, 0]])
    assert "masks of labels" in data.description


def test_binary_masks_do_not_fit_three_classes(write: Write, tmp_path: Path) -> None:
    pairs(write, 2)
    with pytest.raises(SpecMismatch, match="only 0 and 255, two classes; 3 were asked for"):
        open_dataset(str(tmp_path / "set"), ("background", "leaf", "spot"))


def test_masks_of_background_alone_fit_any_classes(write: Write, tmp_path: Path) -> None:
    pairs(write, 2, value=0)
    data = open_dataset(str(tmp_path / "set"), ("background", "leaf", "spot"))
    assert not data.train[0].load()[1].any()


def test_masks_of_bits_are_labels(write: Write, tmp_path: Path) -> None:
    write("images/a.png", GRAY, (2, 1))
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "masks/a.png")
    assert open_dataset(str(tmp_path)).train[0].load()[1].tolist() == [[0, 1]]


def test_images_without_masks_must_be_declared(write: Write, tmp_path: Path) -> None:
    for name in ("room.jpg", "Cat.PNG", "tree.webp", "scan.tiff", "._room.jpg", "notes.pcx"):
        write(name, GRAY)
    with pytest.raises(DataError, match=re.escape("FOLDER,negatives")):
        open_dataset(str(tmp_path))
    data = open_dataset(f"{tmp_path},negatives,val=1")
    assert names(data.split("all")) == ["Cat.PNG", "room.jpg", "scan.tiff", "tree.webp"]
    assert data.valid[0].mask is None
    image, labels = data.valid[0].load()
    assert image.shape == (6, 8, 3) and labels.shape == (6, 8) and not labels.any()


def test_masks_without_images_are_mentioned(write: Write, tmp_path: Path) -> None:
    pairs(write, 2)
    write("set/images/scan.pcx", GRAY)
    write("set/masks/scan.png", 255)
    assert ", 1 masks without an image" in open_dataset(str(tmp_path / "set")).description


@pytest.mark.parametrize("name", ["with space", "Straße 人", "a,b", "a,val=2"])
def test_any_folder_name_works(write: Write, tmp_path: Path, name: str) -> None:
    pairs(write, 3, folder=name)
    data = open_dataset(f"{tmp_path / name},val=1,seed=0")
    assert data.name == name and len(data.valid) == 1
    assert data.valid[0].load()[1].all()


def test_the_folder_is_called_by_its_name_from_within(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs(write, 2)
    monkeypatch.chdir(tmp_path / "set")
    assert open_dataset(".").name == "set"


def test_what_is_no_data_set_is_one_clear_error(write: Write, tmp_path: Path) -> None:
    (tmp_path / "empty/images").mkdir(parents=True)
    (tmp_path / "empty/masks").mkdir()
    for text, message in {
        f"{tmp_path}/nowhere": "nowhere does not exist",
        f"{tmp_path}/nowhere,val=3": "nowhere does not exist",
        str(write("file.png")): "file.png is a file; --data takes a folder",
        f"{tmp_path}/empty": "images holds no images",
        f"{tmp_path}/empty/masks,negatives": "masks holds no images",
        f"{tmp_path}/empty/masks": "is not a data set; one of these was expected",
    }.items():
        with pytest.raises(DataError, match=re.escape(message)):
            open_dataset(text)


@pytest.mark.parametrize(
    "option",
    [
        *("vall=3", "val", "val=", "val=-1", "val=1.5", "seed=x", "weight=0", "weight=nan"),
        *("weight=", "negatives=1", "negative", "", " val=1"),
    ],
)
def test_unknown_and_bad_options_are_one_clear_error(tmp_path: Path, option: str) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset(f"{tmp_path},{option}")
    assert f"unknown or bad option '{option}'; expected PATH[,val=COUNT]" in str(caught.value)


def test_options_are_given_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="doubled option 'val=2'"):
        open_dataset(f"{tmp_path},val=1,val=2")


@pytest.mark.parametrize(
    ("text", "seed", "val", "images"),
    [
        ("PennFudanPed", 0, 24, "PennFudanPed/PNGImages"),
        ("people,val=60,seed=1,weight=1.5", 1, 60, "people/images"),
        ("negatives,negatives,val=80,seed=2", 2, 80, "negatives"),
    ],
)
def test_the_real_folders_are_split_as_written_down(
    data_root: Path, text: str, seed: int, val: int, images: str
) -> None:
    data = open_dataset(f"{data_root / text}")
    files = sorted(path.name for path in (data_root / images).iterdir())
    drawn = np.random.default_rng(seed).permutation(len(files))[:val]
    assert names(data.valid) == sorted(files[i] for i in drawn)
    assert names(data.split("all")) == files
    assert not set(data.train) & set(data.valid)


def test_a_pattern_leaves_images_out(write: Write, tmp_path: Path) -> None:
    for name in ("a_1", "a_2", "a_3", "b_1", "b_2"):
        write(tmp_path / f"{name}.png", np.zeros((4, 4, 3), np.uint8))
    names = [s.name for s in open_dataset(f"{tmp_path},negatives,only=a_*").split("all")]
    assert names == ["a_1", "a_2", "a_3"]
    names = [s.name for s in open_dataset(f"{tmp_path},negatives,only=[!a]*").split("all")]
    assert names == ["b_1", "b_2"]
    with pytest.raises(DataError, match=re.escape("no images c_*")):
        open_dataset(f"{tmp_path},negatives,only=c_*")


def test_a_folder_of_both_kinds_of_masks_is_refused(write: Write, tmp_path: Path) -> None:
    for name, value in (("a", 255), ("b", 255), ("c", 1)):
        write(tmp_path / f"images/{name}.png", np.zeros((4, 4, 3), np.uint8))
        write(tmp_path / f"masks/{name}.png", np.full((4, 4), value, np.uint8))
    with pytest.raises(DataError, match=re.escape("2 masks, such as a.png, hold only 0 and 255")):
        open_dataset(str(tmp_path))


def test_subfolders_are_searched_where_asked_and_said_otherwise(
    write: Write, tmp_path: Path
) -> None:
    for stem, value in (("b", 1), ("sub/a", 0), ("sub/deep/c", 1)):
        write(f"set/images/{stem}.jpg", GRAY, (8, 6))
        write(f"set/masks/{stem}.png", value, (8, 6))
    write("set/images/.thumbs/x.jpg", GRAY)
    plain = open_dataset(str(tmp_path / "set"))
    assert names(plain.split("all")) == ["b.jpg"]
    assert ", 1 subfolder not searched (add ,recursive)" in plain.description
    data = open_dataset(f"{tmp_path / 'set'},recursive")
    assert "subfolder" not in data.description
    maxima = {sample.image.name: int(sample.load()[1].max()) for sample in data.split("all")}
    assert maxima == {"a.jpg": 0, "b.jpg": 1, "c.jpg": 1}


def test_a_folder_of_subfolders_alone_says_how_to_search_them(write: Write, tmp_path: Path) -> None:
    write("rooms/one/a.jpg", GRAY)
    write("rooms/two/b.jpg", GRAY)
    with pytest.raises(
        DataError, match=r"no images .*, 2 subfolders not searched \(add ,recursive\)"
    ):
        open_dataset(f"{tmp_path / 'rooms'},negatives")
    data = open_dataset(f"{tmp_path / 'rooms'},negatives,recursive,val=1")
    assert names(data.split("all")) == ["a.jpg", "b.jpg"]


def test_links_to_folders_are_not_followed_and_said(write: Write, tmp_path: Path) -> None:
    write("rooms/a.jpg", GRAY)
    (tmp_path / "rooms/loop").symlink_to(tmp_path / "rooms")
    data = open_dataset(f"{tmp_path / 'rooms'},negatives,recursive")
    assert names(data.split("all")) == ["a.jpg"]
    assert "1 subfolder not searched" in data.description


@pytest.mark.parametrize(
    ("locked", "text"),
    [
        ("", "{folder}"),
        ("set", "{folder}/set"),
        ("set", "{folder}/set,val=1"),
        ("set/images", "{folder}/set"),
        ("set/images/sub", "{folder}/set,recursive"),
        ("set/images", "{folder}/set/images,negatives"),
        ("", "{folder}/set/images,negatives,val=1"),
    ],
)
def test_a_folder_without_permission_is_one_line_with_the_true_cause(
    open_folder: Path, locked: str, text: str
) -> None:
    for name in ("images/a", "images/sub/b", "masks/a", "masks/sub/b"):
        path = open_folder / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), 1).save(path)
    (open_folder / locked).chmod(0)
    try:
        with as_user(), pytest.raises(DataError) as caught:
            open_dataset(text.format(folder=open_folder))
    finally:
        (open_folder / locked).chmod(0o755)
    assert str(caught.value).startswith(str(open_folder / locked))
    assert str(caught.value).endswith(": cannot be read (Permission denied)")


def test_a_mask_without_permission_is_a_fault_of_its_own(open_folder: Path) -> None:
    for name in ("images/a", "images/b", "masks/a", "masks/b"):
        path = open_folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), 1).save(path)
    (open_folder / "masks/a.png").chmod(0)
    (open_folder / "images/b.png").chmod(0)
    with as_user(), pytest.raises(DataError) as caught:
        check_samples(open_dataset(str(open_folder)).split("all"))
    assert caught.value.faults == (
        f"{open_folder}/masks/a.png: cannot be read (Permission denied)",
        f"{open_folder}/images/b.png: cannot be read (Permission denied)",
    )
