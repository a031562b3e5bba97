"""torch in narrow types, compiled, and as a CUDA graph (on a stand-in for CUDA)."""

import copy

import numpy as np
import pytest
import torch
import torch._inductor.config

from seg import EngineMissing, cli
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.runtimes import cuda_graph as cuda
from seg.runtimes import pytorch
from seg.runtimes.open import open_runtime
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec, segmentation_outputs
from tests.fake_tensorrt import World, cpu_torch

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(64, 96),
    stride=32,
)
CPU = torch.device("cpu")


class Small(torch.nn.Module):
    """Two layers, for what would take minutes with a whole network."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)
        )

    def forward(self, images):
        return self.body(images)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("torch") / "net.pt"
    torch.manual_seed(0)
    save_net(path, build_net(SPEC), SPEC)
    return path


def random_images(batch=1, hw=(64, 96)):
    return np.random.default_rng(0).random((batch, 3, *hw), dtype=np.float32)


@pytest.mark.parametrize(("precision", "steps"), [("float16", 2**-10), ("bfloat16", 2**-7)])
def test_a_narrow_type_rounds_and_says_so(checkpoint, precision, steps):
    with open_runtime(checkpoint, "cpu") as wide:
        expected = wide.run(random_images())["logits"]
    with open_runtime(checkpoint, "cpu", precision=precision) as narrow:
        assert narrow.precision == precision and f"cpu, {precision}" in narrow.description
        logits = narrow.run(random_images())["logits"]
    assert logits.dtype == np.float32
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    assert steps / 50 < error < 20 * steps


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, in its compiler
def test_compiled_is_compiled_and_computes_the_same(monkeypatch):
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 1)  # a pool would take longer
    net = Small().eval()
    runtime = TorchRuntime(net, SPEC, CPU, modes=("compile",))
    assert "compiled, cpu, float32" in runtime.description
    torch._dynamo.utils.counters.clear()
    first = runtime.run(random_images())["logits"]
    assert torch._dynamo.utils.counters["inductor"]  # the compiler ran, not its eager stand-in
    kept = first.copy()
    with torch.inference_mode():
        expected = net(torch.from_numpy(random_images())).numpy()
    np.testing.assert_allclose(first, expected, atol=1e-5)
    runtime.run(1 - random_images())
    np.testing.assert_array_equal(first, kept)


def test_a_compiler_that_fails_is_one_line(checkpoint, monkeypatch, capsys):
    def broken(net):
        def run(images):
            raise RuntimeError("InvalidCxxCompiler: no C++ compiler\nmany\nlines")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(EngineMissing, match=r"^--compile: .*no C\+\+ compiler Is there a comp"):
        open_runtime(checkpoint, "cpu", modes=("compile",))


def test_a_graph_is_replayed_for_each_shape(monkeypatch):
    """The stand-in cannot record torch's own work, so it is given that, to run at each replay."""
    world, runs, capture = World(), [], cuda.CudaGraphRunner.capture

    def recorded(self, work, warmups):
        capture(self, work, warmups)
        self._graph.work.append(work)

    monkeypatch.setattr(cuda, "torch", cpu_torch(world))
    monkeypatch.setattr(cuda.CudaGraphRunner, "capture", recorded)
    net = Small().eval()
    net.register_forward_hook(lambda *_: runs.append(world.graph is not None))
    runtime = TorchRuntime(net, SPEC, CPU, modes=("graph",))
    assert "CUDA graph" in runtime.description
    for batch, hw in ((1, (64, 96)), (3, (32, 32)), (1, (64, 96))):
        logits = runtime.run(random_images(batch, hw))["logits"]
        with torch.inference_mode():
            expected = net.body(torch.from_numpy(random_images(batch, hw))).numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-6)
        assert runtime.enqueued_s > 0
    assert world.did("replay") == 3
    # Each new shape: once for the size of the output, three to warm up, once to record, replayed.
    new = [False, False, False, False, True, False]
    assert runs == [*new, *new, False]


def test_a_network_in_training_is_evaluated_and_stays_in_training():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2)).train()
    frozen = copy.deepcopy(net).eval()
    found = TorchRuntime(net, SPEC, CPU).run(random_images(2))["logits"]
    with torch.inference_mode():
        np.testing.assert_array_equal(found, frozen(torch.from_numpy(random_images(2))).numpy())
    assert all(part.training for part in net.modules())
    for name, values in frozen.state_dict().items():
        assert torch.equal(net.state_dict()[name], values), name


def test_float32_is_not_rounded_to_tf32(monkeypatch):
    """torch's own default rounds the inputs of convolutions on CUDA to ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    pytorch.pick_device("cpu")
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"modes": ("graph",)}, "--graph: a CUDA graph needs --device cuda"),
        ({"precision": "int4"}, "torch takes float32, float16, bfloat16"),
    ],
)
def test_what_a_cpu_cannot_is_one_line(checkpoint, words, line):
    with pytest.raises(EngineMissing, match=line):
        open_runtime(checkpoint, "cpu", **words)


def test_modes_are_torchs_alone(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(EngineMissing, match="--compile --graph is for torch"):
        open_runtime(tmp_path / "net.onnx", "cpu", modes=("compile", "graph"))


def test_the_flags_arrive(checkpoint):
    flags = cli.parser("test")
    cli.add_model_flags(flags)
    args = flags.parse_args(["--model", str(checkpoint), "--graph", "--device", "cpu"])
    assert args.modes == ["graph"] and flags.parse_args([]).modes == []
    with pytest.raises(EngineMissing, match="--graph"):
        cli.open_predictor(args)
    assert pytorch.MODE_NAMES.keys() == {"compile", "graph"}
