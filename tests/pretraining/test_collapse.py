"""A collapse is told from a start and from a healthy run."""

from seg.pretraining.collapse import collapse


def rows(count, std, rank=20.0):
    return [{"feature_std": std, "feature_rank": rank}] * count


def test_equal_features_are_a_collapse():
    assert "hardly differ" in collapse(rows(20, 0.5) + rows(5, 0.001))


def test_features_along_one_line_are_a_collapse():
    assert "single direction" in collapse(rows(20, 0.5) + rows(5, 0.5, rank=1.1))


def test_a_start_and_a_healthy_run_are_none():
    assert not collapse(rows(9, 0.001)) and not collapse(rows(50, 0.4))
    assert not collapse(rows(20, 0.5) + rows(4, 0.001))
