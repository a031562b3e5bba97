"""What a data set's string says: a path and its options."""

import re
from pathlib import Path

import pytest

from seg.data.dataset_string import DataOptions
from seg.errors import DataError


def test_every_option_is_read(tmp_path: Path) -> None:
    words = "val=3,seed=7,weight=1.5,only=a_*,ignore_above=0.7,negatives,recursive"
    assert DataOptions.parse(f"{tmp_path},{words}") == DataOptions(
        tmp_path,
        val=3,
        seed=7,
        weight=1.5,
        only="a_*",
        ignore_above=0.7,
        negatives=True,
        recursive=True,
    )
    assert DataOptions.parse(str(tmp_path)) == DataOptions(tmp_path, None, None, 1.0, "*")


def test_an_option_of_an_older_version_is_refused_with_its_new_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"doubt= is now called ignore_above=\.$"):
        DataOptions.parse(f"{tmp_path},doubt=0.7")


@pytest.mark.parametrize(
    "option",
    ["ignore_above=0", "ignore_above=1", "ignore_above=x", "ignore_above", "recursive=1", "only="],
)
def test_values_that_make_no_sense_are_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"unknown or bad option '{option}'")):
        DataOptions.parse(f"{tmp_path},{option}")


def test_options_without_a_meaning_in_a_place_are_refused_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        DataOptions.parse(f"{tmp_path},val=3", allowed=("weight", "recursive"))
    assert str(caught.value) == (
        f"'{tmp_path},val=3': unknown or bad option 'val=3'; expected PATH[,weight=W][,recursive]."
    )


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ",val=1", "a\0b"])
def test_a_path_that_no_system_takes_is_left_to_whoever_opens_it(name: str) -> None:
    assert str(DataOptions.parse(name).path) == name.partition(",")[0]


@pytest.mark.parametrize("text", ["", ",val=3", ",negatives"])
def test_an_empty_path_is_not_the_current_folder(text: str) -> None:
    with pytest.raises(DataError, match=r"names no path; expected PATH\[,val=COUNT\]"):
        DataOptions.parse(text)
