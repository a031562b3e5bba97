"""The public names are these."""

import seg

NAMES = """
ArtifactError DataError Embedder EngineFailure EngineMissing Features Letterbox Mask ModelSpec
Output ParityError Predictor SegError Segmenter ShapeError SourceError SpecMismatch open_predictor
"""


def test_the_public_names_are_sorted_and_real():
    assert list(seg.__all__) == sorted(seg.__all__) == NAMES.split()
    assert all(getattr(seg, name).__name__ == name for name in seg.__all__)
