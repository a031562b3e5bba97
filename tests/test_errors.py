"""Errors say what is wrong, all of it."""

from seg import DataError


def test_a_data_error_lists_all_and_shows_some():
    error = DataError("30 faults:", [f"fault {i}" for i in range(30)])
    assert len(error.faults) == 30
    assert "fault 19" in str(error) and "fault 20" not in str(error)
    assert "10 more" in str(error)
