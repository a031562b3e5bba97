"""A toy task, the mean color of an image, is added by registration alone.

This file holds all of it: a head, a net, a predictor, a result with its annotator and measure of
agreement, a training, and one line in each registry. It is trained, exported, verified and run on
video by modules that do not know it.
"""

import csv
import dataclasses
import itertools
import json

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import train
from apps import infer_video
from seg import ParityError, SpecMismatch, cli, open_predictor
from seg.exporting.onnx_export import OnnxOptions, export_onnx
from seg.imaging.overlay import ANNOTATORS, Overlay
from seg.models.base import Net, Normalize
from seg.models.checkpoint import read_checkpoint
from seg.models.nets import NETS, build_net
from seg.predictors.base import Predictor
from seg.predictors.open import PREDICTORS
from seg.runtimes.open import open_runtime
from seg.spec import ModelSpec, Output
from seg.training.commands import Command
from seg.training.config import ModelConfig, OptimConfig, TrainingConfig
from seg.training.optim import parameter_groups
from seg.training.tasks import COMMANDS
from seg.verification import self_test
from seg.verification.parity import AGREEMENTS
from seg.video.base import Frame, Sink, Source
from seg.video.loop import run
from seg.video.meter import Meter
from seg.video.pipeline import Pipeline
from seg.video.sources import VideoFile
from tests.conftest import ROOT
from tests.video.conftest import write_clip

TASK, ARCH = "toy_color", "pixels"
SPEC = ModelSpec(
    arch=ARCH, outputs=(Output("color", TASK, ("red", "green", "blue")),), input_hw=(32, 48),
    stride=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
)  # fmt: skip
RED, GREEN = (30, 40, 200), (20, 180, 10)  # BGR


class ColorHead(nn.Module):
    """Three numbers from three means."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, maps):
        return self.linear(maps.mean((2, 3)))


class ColorNet(Net):
    """Normalization and the head."""

    def __init__(self, spec):
        super().__init__()
        self.normalise = Normalize(spec.mean, spec.std)
        self.head = ColorHead()

    def forward(self, images):
        return self.head(self.normalise(images))


@dataclasses.dataclass(frozen=True)
class MeanColor:
    """RGB, 0..1."""

    rgb: tuple[float, float, float]


class ColorPredictor(Predictor):
    task = TASK

    def results_of(self, outputs, pixels, fits):
        return [MeanColor(tuple(map(float, color))) for color in outputs[self.output.name]]


class ColorAnnotator:
    """Fills the top left corner with the color."""

    def __init__(self, style):
        pass

    def draw(self, image, result):
        image[:8, :8] = [round(255 * min(max(part, 0), 1)) for part in reversed(result.rgb)]


@dataclasses.dataclass(frozen=True)
class ColorAgreement:
    largest: float

    @classmethod
    def of(cls, pairs):
        return cls(max(float(np.abs(np.subtract(a.rgb, b.rgb)).max()) for a, b in pairs))

    def to_dict(self):
        return dataclasses.asdict(self)

    def passes(self, precision):
        return self.largest <= {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}[precision]

    def expected(self, precision):
        return "the same color"


@pytest.fixture(scope="module")
def registered():
    """One line in each registry."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(NETS, (TASK, ARCH), lambda spec, backbone: ColorNet(spec))
        monkeypatch.setitem(PREDICTORS, TASK, ColorPredictor)
        monkeypatch.setitem(ANNOTATORS, MeanColor, ColorAnnotator)
        monkeypatch.setitem(AGREEMENTS, TASK, ColorAgreement.of)
        command = Command(
            summary="mean colors", config=ColorConfig, task=f"{__name__}:ColorTask", archs=(ARCH,)
        )
        monkeypatch.setitem(COMMANDS, "color", command)
        yield


def flat(color, hw=(32, 48)):
    return np.full((*hw, 3), color, np.uint8)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ColorConfig(TrainingConfig):
    """The parts that every training has."""

    @property
    def step_size(self):
        return "8 images"

    @classmethod
    def for_arch(cls, arch):
        return cls(
            model=ModelConfig(arch=arch, input_hw=(32, 48)),
            optim=OptimConfig(epochs=6, lr=0.05, weight_decay=0.0, warmup=0),
        )


class ColorTask:
    """Fits the net to the mean of random images."""

    task, monitor, metrics = TASK, "accuracy", {"accuracy": "share within 0.05"}
    steps_per_epoch = 50

    def __init__(self, config, sets, device, cache_dir=None):
        self.config = config

    @classmethod
    def open_sets(cls, config, cache_dir):
        return []

    @classmethod
    def check_data(cls, sets, config):
        pass

    @classmethod
    def check_split(cls, sets):
        pass

    def build(self):
        torch.manual_seed(0)
        return build_net(SPEC), SPEC

    def prepare(self, net, folder, is_new):
        pass

    def optimizer(self, net):
        return torch.optim.AdamW(parameter_groups(net, 0.0), self.config.optim.lr)

    def batches(self, epoch):
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(self.steps_per_epoch):
            yield torch.rand(8, 3, 1, 1, generator=generator).expand(8, 3, 32, 48)

    def loss(self, net, batch):
        return {"mse": nn.functional.mse_loss(net(batch), batch.mean((2, 3)))}

    def validate(self, net):
        (batch,) = itertools.islice(self.batches(1000), 1)
        with torch.inference_mode():
            distance = (net.eval()(batch) - batch.mean((2, 3))).abs()
        return {
            "val_mse": float(distance.square().mean()),
            "accuracy": float((distance < 0.05).float().mean()),
        }

    def fingerprint(self):
        return {"train": "random colors"}

    @classmethod
    def compare(cls, runs, folder):
        return f"{len(runs)} variants"

    def draw(self, net, folder):
        pass


def train_color(folder, *words):
    assert cli.run(train.main, ["color", *words, "--device", "cpu", "--output", str(folder)]) == 0
    return folder / "best_accuracy.pt"


@pytest.fixture(scope="module")
def exported(registered, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("color")
    train_color(tmp_path / "run").rename(tmp_path / "color.pt")
    images = [flat(RED), np.ascontiguousarray(flat(GREEN)[:, :20])]
    export_onnx(tmp_path / "color.pt", tmp_path / "color.onnx", images, OnnxOptions())
    return tmp_path / "color.onnx"


def test_train_py_trains_it_with_the_loop_of_all_tasks(registered, tmp_path):
    train_color(tmp_path / "whole")
    rows = list(csv.DictReader((tmp_path / "whole" / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == list("123456")
    assert float(rows[-1]["train_mse"]) < 1e-3 < float(rows[0]["train_mse"])
    assert float(rows[-1]["accuracy"]) > 0.9
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {
        *("last.pt", "best_accuracy.pt", "log.csv", "curves.png")
    }


def test_a_stopped_training_of_it_continues(registered, tmp_path, monkeypatch, capsys):
    train_color(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(ColorTask, "batches", interrupted_in_the_third_epoch(ColorTask.batches))
        words = ["color", "--device", "cpu", "--output", str(tmp_path / "cut")]
        assert cli.run(train.main, words) == 130
    train_color(tmp_path / "cut", "--resume")
    one, two = (read_checkpoint(tmp_path / n / "last.pt")["state"] for n in ("whole", "cut"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def interrupted_in_the_third_epoch(batches):
    def stop(self, epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return batches(self, epoch)

    return stop


def test_a_sweep_of_it_compares_its_own_metric(registered, tmp_path, capsys):
    train_color(tmp_path / "sweep", "--epochs", "1", "--sweep", "lr=1e-4,1e-1")
    table = capsys.readouterr().out
    assert "share within 0.05" in table and table.index("lr=0.1 ") < table.index("lr=0.0001")


def test_it_is_exported_and_compared_with_its_source(exported):
    model = onnx.load(str(exported))
    values = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(values["dinoseg.spec"])["outputs"][0]["task"] == TASK
    assert json.loads(values["dinoseg.parity"])["largest"] <= 1e-5
    assert [output.name for output in model.graph.output] == ["color"]
    for engine in ("onnxruntime", "openvino"):
        precision = "float32" if engine == "openvino" else None
        with open_predictor(exported, "cpu", runtime=engine, precision=precision) as predictor:
            assert self_test.verify(predictor).error < 1e-3
            assert predictor(flat(RED)).rgb == pytest.approx(
                (200 / 255, 40 / 255, 30 / 255), abs=0.1
            )


def test_an_export_whose_results_differ_is_refused(registered, tmp_path, monkeypatch):
    train_color(tmp_path / "run", "--epochs", "1").rename(tmp_path / "color.pt")
    monkeypatch.setitem(AGREEMENTS, TASK, lambda pairs: ColorAgreement(1.0))
    with pytest.raises(ParityError, match="Expected in float32 the same color"):
        export_onnx(tmp_path / "color.pt", tmp_path / "color.onnx", [flat(RED)], OnnxOptions())
    assert not (tmp_path / "color.onnx").exists()


def test_it_runs_on_every_engine_in_a_list(exported):
    images = [flat(RED), flat(GREEN, (64, 96)), flat(RED, (20, 90))]
    with open_predictor(exported, "cpu") as predictor:
        assert isinstance(predictor, ColorPredictor)
        colors = predictor.predict(images)
        for color, image in zip(colors, images, strict=True):
            assert color.rgb == pytest.approx(predictor(image).rgb, abs=1e-6)
    with open_runtime(exported.with_suffix(".pt"), "cpu") as runtime:
        assert list(runtime.run(np.zeros((2, 3, 32, 48), np.float32))) == ["color"]


class Clip(Source):
    """Three frames of a color."""

    def __iter__(self):
        for index, color in enumerate((RED, GREEN, RED)):
            yield Frame(flat(color), index, index / 25)


class Kept(Sink):
    needs = (TASK,)

    def __init__(self):
        self.frames = []

    def write(self, frame, processed):
        self.frames.append((processed.results[TASK], processed.image[0, 0]))


def test_the_video_loop_carries_and_draws_it(exported):
    sink, meter = Kept(), Meter()
    with open_predictor(exported, "cpu") as predictor:
        report = run(Clip(), Pipeline([predictor], Overlay(), meter), [sink], meter)
    assert report.num_frames == 3 and TASK in report.stages
    (red, pixel), (green, _), _ = sink.frames
    assert red.rgb[0] > 0.6 > red.rgb[1] and green.rgb[1] > 0.5 > green.rgb[0]
    np.testing.assert_allclose(pixel[::-1] / 255, red.rgb, atol=1 / 255)


def test_a_sink_of_another_task_is_refused_before_the_first_frame(exported):
    class NeedsMasks(Kept):
        needs = ("segmentation",)

    with (
        open_predictor(exported, "cpu") as predictor,
        pytest.raises(SpecMismatch, match="needs the result of segmentation; this run makes toy"),
    ):
        run(Clip(), Pipeline([predictor], Overlay(), Meter()), [NeedsMasks()])


def test_the_commands_open_it_by_what_the_file_says(exported):
    flags = cli.parser("test")
    cli.add_model_flags(flags)
    args = flags.parse_args(["--model", str(exported), "--device", "cpu", "--verify"])
    with cli.open_predictor(args) as predictor:
        assert isinstance(predictor, ColorPredictor)
    args.guided = True
    with pytest.raises(SpecMismatch, match="A model for toy_color takes no guided"):
        cli.open_predictor(args)


def test_the_video_command_runs_it(exported, tmp_path):
    write_clip(tmp_path / "clip.mp4")
    paths = {
        "--model": exported,
        "--input": tmp_path / "clip.mp4",
        "--output": tmp_path / "out.mp4",
    }
    words = [str(word) for pair in paths.items() for word in pair]
    assert infer_video.main([*words, "--device", "cpu", "--no-show"]) == 0
    with VideoFile(tmp_path / "clip.mp4") as before, VideoFile(tmp_path / "out.mp4") as after:
        frames = list(zip(before, after, strict=True))
    assert len(frames) == 12
    for frame, drawn in frames:
        # The clip is gray with black and white bars; so is the corner that it gets.
        mean = frame.image.mean()
        np.testing.assert_allclose(drawn.image[2:6, 2:6].mean(), mean, atol=12)


def test_no_module_knows_the_task():
    sources = [p for part in ("seg", "apps", "export") for p in (ROOT / part).rglob("*.py")]
    assert len(sources) > 100
    for path in (*sources, ROOT / "train.py"):
        text = path.read_text("utf-8").lower()
        assert TASK not in text and "meancolor" not in text, path
