"""The ways to give an engine its types, presumably fastest first."""

from seg.kinds import Precision, Word


class PrecisionMode(Word):
    """What the graph of an engine computes in.

    Attributes:
        precision: What it is held to.
        keeps_float32: Whether LayerNormalization and Softmax stay float32.
    """

    precision: Precision
    keeps_float32: bool

    FLOAT16 = "float16", Precision.FLOAT16, False
    FLOAT16_MIXED = "float16-mixed", Precision.FLOAT16, True
    BFLOAT16 = "bfloat16", Precision.BFLOAT16, False
    FLOAT32 = "float32", Precision.FLOAT32, False

    def __new__(
        cls, value: str, precision: Precision = Precision.FLOAT32, keeps_float32: bool = False
    ) -> "PrecisionMode":
        """Makes a member: the string, with its facts as attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.precision, member.keeps_float32 = precision, keeps_float32
        return member


RENAMED = {"float16-islands": PrecisionMode.FLOAT16_MIXED}
