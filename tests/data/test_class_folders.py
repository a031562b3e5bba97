"""Folders of classes: what is recognized, how it is split, and what is wrong with it."""

import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from seg.data.check import check_images
from seg.data.class_folders import find_duplicates, open_class_folders, refuse_duplicates
from seg.errors import DataError


def write(path, seed=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, str(path))) if seed is None else seed
    image = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def folder(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        for name in ("cat", "ant", "bee"):
            for index in range(count):
                write(tmp_path / "set" / part / name / f"{index}.png")
    return tmp_path / "set"


def paths(samples, root):
    return [(sample.image.relative_to(root).as_posix(), sample.label) for sample in samples]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_classes_are_sorted_and_labeled(folder, name):
    (folder / "val").rename(folder / name)
    data = open_class_folders(str(folder))
    assert (data.name, data.classes) == ("set", ("ant", "bee", "cat"))
    assert len(data.train) == 9 and paths(data.valid, folder / name) == [
        (f"{kind}/{index}.png", label)
        for label, kind in enumerate(["ant", "bee", "cat"])
        for index in (0, 1)
    ]
    assert data.split("all") == data.train + data.valid and data.train[0].name == "0"
    assert data.description == f"train/ and {name}/ of 3 classes"


def test_a_second_validation_folder_is_said_not_to_be_used(folder):
    shutil.copytree(folder / "val", folder / "test")
    assert open_class_folders(str(folder)).description.endswith(", test/ not used")


def test_one_folder_is_split_by_class_and_always_the_same(tmp_path):
    for name, count in (("a", 20), ("b", 100), ("c", 2)):
        for index in range(count):
            write(tmp_path / name / f"{index:03}.png", seed=1)
    data = open_class_folders(str(tmp_path))
    counts = np.bincount([sample.label for sample in data.valid]).tolist()
    assert counts == [3, 14, 1] and len(data.train) == 122 - 18  # 24 of 170, at least one
    # The split of masks, within each class.
    drawn = sorted(np.random.default_rng(0).permutation(20)[:3].tolist())
    assert [int(sample.name) for sample in data.valid[:3]] == drawn
    assert open_class_folders(str(tmp_path)) == data
    half = open_class_folders(f"{tmp_path},val=61,seed=3")
    assert np.bincount([sample.label for sample in half.valid]).tolist() == [10, 50, 1]
    assert {*half.train}.isdisjoint(half.valid)


def test_subfolders_are_searched_where_asked_for(folder):
    write(folder / "train" / "ant" / "more" / "x.jpg")
    assert len(open_class_folders(str(folder)).train) == 9
    assert len(open_class_folders(f"{folder},recursive").train) == 10
    assert len(open_class_folders(f"{folder},only=0*").train) == 3


def faults(text):
    with pytest.raises(DataError) as caught:
        open_class_folders(str(text))
    return str(caught.value)


def test_each_fault_of_a_folder_is_one_line(folder, tmp_path):
    assert "omit val= and seed=" in faults(f"{folder},val=3")
    assert "option 'negatives'" in faults(f"{folder},negatives")
    assert "does not exist" in faults(tmp_path / "none")
    assert "is a file" in faults(folder / "train" / "ant" / "0.png")
    (folder / "val" / "bee").rename(folder / "val" / "wasp")
    said = faults(folder)
    assert "do not have the same classes" in said
    assert f"{folder / 'val' / 'bee'} is missing" in said
    assert f"{folder / 'train' / 'wasp'} is missing" in said
    for path in (folder / "train" / "cat").iterdir():
        path.unlink()
    (folder / "train" / "cat" / "note.txt").write_text("no image")
    assert "1 of 3 classes have no image" in faults(folder)
    shutil.rmtree(folder / "val")
    assert "has train/ and no val/" in faults(folder)


def test_classes_that_cannot_be_split_are_named(tmp_path):
    for name, count in (("a", 5), ("b", 1)):
        for index in range(count):
            write(tmp_path / name / f"{index}.png")
    said = faults(tmp_path)
    assert "these have one image" in said and str(tmp_path / "b") in said
    write(tmp_path / "b" / "1.png")
    assert "val=7 of 7 images leaves none" in faults(f"{tmp_path},val=7")
    shutil.rmtree(tmp_path / "b")
    assert "has 1 folder of a class, and two are needed" in faults(tmp_path)


def test_images_in_both_splits_are_refused_by_their_content(folder):
    assert find_duplicates(open_class_folders(str(folder))) == ()
    shutil.copy(folder / "train" / "ant" / "0.png", folder / "val" / "ant" / "other name.png")
    shutil.copy(folder / "train" / "bee" / "1.png", folder / "train" / "cat" / "9.png")
    shutil.copy(folder / "train" / "bee" / "2.png", folder / "train" / "bee" / "9.png")  # harmless
    data = open_class_folders(str(folder))
    with pytest.raises(DataError) as caught:
        refuse_duplicates(data)
    said = str(caught.value)
    assert (
        "in both splits, or in two classes: 2; what is learned by heart" in said
        and "--allow-dup" in said
    )
    assert "ant/0.png is also " in said and "other name.png" in said and "cat/9.png" in said
    (remark,) = refuse_duplicates(data, allow=True)
    assert remark.startswith("Images that are in both splits, or in two classes: 2, such as ")


def test_images_that_cannot_be_read_are_listed_and_odd_ones_said(folder, tmp_path):
    good = [sample.image for sample in open_class_folders(str(folder)).train]
    assert check_images(good) == ()
    gray, moving = tmp_path / "gray.png", tmp_path / "moving.gif"
    Image.new("L", (5, 5)).save(gray)
    frames = [Image.new("RGB", (5, 5), color) for color in ("red", "blue")]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    remarks = check_images([*good, gray, moving])
    assert "of 1 images with several frames or pages, such as moving.gif" in remarks[0]
    assert "2 images are not RGB and are converted, such as gray.png (L)" in remarks[1]
    cut, text = tmp_path / "cut.png", tmp_path / "text.jpg"
    cut.write_bytes(good[0].read_bytes()[:60])
    text.write_text("no image")
    with pytest.raises(DataError, match="The data has 2 faults") as caught:
        check_images([*good, cut, text])
    assert str(cut) in str(caught.value) and str(text) in str(caught.value)
