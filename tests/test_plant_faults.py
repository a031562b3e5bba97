"""The planter of faults, on a repository of one function; and that its list fits the code."""

import subprocess
from pathlib import Path

import pytest

from tests import plant_faults
from tests.plant_faults import Fault

ROOT = Path(__file__).resolve().parent.parent
SUM = Fault(file="seg/add.py", old="a + b", new="a - b", why="sums are wrong")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {
        "seg/__init__.py": "",
        "seg/add.py": "def add(a, b):\n    return a + b  # not zero\n",
        "tests/test_add.py": "from seg.add import add\n\n\n"
        "def test_add():\n    assert add(1, 2) == 3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_fault_that_tests_see_is_caught_and_taken_out_again(repository: Path) -> None:
    assert plant_faults.plant_all([SUM], repository, 1) == ["caught by tests/test_add.py::test_add"]
    assert "a + b" in (repository / "seg/add.py").read_text()


def test_what_no_test_sees_survives_and_what_does_not_fit_is_said(repository: Path) -> None:
    comment = Fault(file="seg/add.py", old="not zero", new="zero", why="nobody reads it")
    gone = Fault(file="seg/add.py", old="a * b", new="a", why="it is not there")
    results = plant_faults.plant_all([comment, gone, SUM], repository, 2)
    assert results[0] == "SURVIVES"
    assert results[1].startswith("DOES NOT FIT: seg/add.py has 0 places")
    assert results[2].startswith("caught")


@pytest.mark.parametrize(
    ("results", "required", "is_enough"),
    [
        (["caught"] * 20, False, True),
        (["caught"] * 19 + ["SURVIVES"], False, True),
        (["caught"] * 18 + ["SURVIVES"] * 2, False, False),
        (["caught"] * 19 + ["SURVIVES"], True, False),
        (["caught"] * 19 + ["DOES NOT FIT: x"], False, False),
    ],
)
def test_95_percent_and_every_required_fault_must_be_caught(
    results: list[str], required: bool, is_enough: bool
) -> None:
    fault = Fault(file="x", old="x", new="y", why="z", required=required)
    assert plant_faults.verdict([fault] * 20, results)[0] is is_enough


def test_every_fault_of_the_list_fits_the_code() -> None:
    assert not [misfit for fault in plant_faults.read() if (misfit := fault.misfit(ROOT))]
