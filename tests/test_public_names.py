"""The public names are these."""

import seg


def test_the_public_names_are_sorted_and_real():
    assert list(seg.__all__) == sorted(seg.__all__)
    assert all(hasattr(seg, name) for name in seg.__all__)
