"""FakeRuntime: a function behind the runtime interface, for tests and demonstrations."""

from collections.abc import Callable, Mapping

from seg.results import Float32
from seg.runtimes.base import Runtime
from seg.spec import ModelSpec, segmentation_outputs

DEFAULT = ModelSpec(
    arch="fake",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(64, 64),
    stride=16,
    made_with="fake",
)


class FakeRuntime(Runtime):
    """Runs a function instead of a network.

    Args:
        function: float32 `(B, 3, H, W)` -> float32 `(B, ...)`, or several of them by name.
        spec: What the function pretends to be.
    """

    def __init__(
        self,
        function: Callable[[Float32], Float32 | Mapping[str, Float32]],
        spec: ModelSpec = DEFAULT,
    ) -> None:
        super().__init__(spec, "a function, not a network", spec.precision)
        self.function = function

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        made = self.function(images)
        return made if isinstance(made, Mapping) else {self.spec.outputs[0].name: made}
