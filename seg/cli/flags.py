"""The flags that commands share, and what they open."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seg.cli.logs import note
from seg.errors import SpecMismatch
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.kinds import Device, Engine
from seg.spec import CLASSIFICATION, EMBEDDING, SEGMENTATION

if TYPE_CHECKING:
    from contextlib import ExitStack

    from seg.imaging.letterbox import Size
    from seg.predictors.base import Predictor
    from seg.predictors.feature_viewer import FeatureViewer
    from seg.predictors.keyframes import KeyframeSegmenter
    from seg.predictors.one_pass import OnePass
    from seg.predictors.smoothing import SteadySegmenter

    StreamSegmenter = SteadySegmenter | KeyframeSegmenter


PCA = "pca"
TASK_WORDS = {"segment": SEGMENTATION, "classify": CLASSIFICATION, "embed": EMBEDDING}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Returns a parser whose help is the command's own docstring, defaults shown."""
    return _Parser(description=doc, formatter_class=_Help, allow_abbrev=False)


class _Parser(argparse.ArgumentParser):
    """Names in the usage line only what must be given: the list below it has the rest."""

    def format_usage(self) -> str:
        """Returns the usage line."""
        self._shorten_usage()
        return super().format_usage()

    def format_help(self) -> str:
        """Returns the help."""
        self._shorten_usage()
        return super().format_help()

    def _shorten_usage(self) -> None:
        if self.usage is None and not self._subparsers:
            needed = (one for one in self._actions if one.required and one.option_strings)
            words = [f"{one.option_strings[0]} {one.metavar or one.dest.upper()}" for one in needed]
            self.usage = " ".join(["%(prog)s", *words, "[flags]"])


def rare(flags: argparse._ActionsContainer, title: str) -> argparse._ActionsContainer:
    """Adds a group for rarely needed flags to a parser; a group is returned unchanged."""
    is_parser = isinstance(flags, argparse.ArgumentParser)
    return flags.add_argument_group(title) if is_parser else flags


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the docstring's lines and shows the defaults that are numbers or words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if isinstance(action.default, (int, float, str)) and not isinstance(action.default, bool):
            return super()._get_help_string(action)
        return action.help


def add_model_flags(flags: argparse._ActionsContainer) -> None:
    """Adds the flags of `open_predictor`: which network runs, at what size, on what, how often."""
    from seg.predictors.tta import RATIOS

    add_engine_flags(flags, DEFAULT_MODEL, f"default: weights/{DEFAULT_MODEL.name}")
    flags = rare(flags, "better masks, slower")
    flags.add_argument(
        "--tta",
        type=int,
        choices=range(len(RATIOS) + 1),
        default=0,
        metavar="N",
        help=f"average over N scales of {', '.join(f'{r:g}' for r in RATIOS)} in sliding windows, "
        "mirrored too; slow, 0 is off",
    )
    flags.add_argument("--guided", action="store_true", help="refine masks along image edges")


def add_engine_flags(
    flags: argparse._ActionsContainer,
    default: Path | None,
    default_text: str,
    is_required: bool = False,
) -> None:
    """Adds those flags of `open_predictor` that every task has.

    Args:
        flags: A parser, or a group of one.
        default: Of `--model`.
        default_text: What its help says of the default.
        is_required: Whether `--model` must be named.
    """
    text = f"{', '.join(Engine.all_suffixes())} ({default_text})"
    flags.add_argument(
        "--model", type=Path, default=default, metavar="FILE", help=text, required=is_required
    )
    add_imgsz(flags, None, "box that frames are fitted into; default: the model's own")
    flags.add_argument(
        "--device", choices=Device.values(), default="auto", help="where the network runs"
    )
    flags.add_argument("--runtime", choices=Engine.values(), help="engine; default: by the suffix")
    flags = rare(flags, "how the network runs")
    kinds = dict.fromkeys(kind.value for engine in Engine for kind in engine.precisions)
    flags.add_argument(
        "--precision", choices=list(kinds), help="what OpenVINO or torch computes in"
    )
    said = {"compile": "torch: compile the network", "graph": "torch on CUDA: a CUDA graph"}
    for mode in Engine.TORCH.modes:
        flags.add_argument(
            f"--{mode}", dest="modes", action="append_const", const=mode, default=[],
            help=said[mode],
        )  # fmt: skip
    flags.add_argument(
        "--verify",
        action="store_true",
        help="first check this engine's scores against those of the source that the model carries",
    )


def open_predictor(
    args: argparse.Namespace, task: str | None = None, **more: Any
) -> "Predictor[Any]":
    """Opens the model that the flags of `add_model_flags` name, and verifies it where asked.

    Args:
        args: The flags.
        task: Which of the model's tasks; None takes its only one.
        more: Options of that task's predictor.
    """
    from seg.predictors.open import open_predictor
    from seg.verification import self_test

    options = {name: getattr(args, name, None) for name in ("tta", "guided")} | more
    predictor = open_predictor(
        args.model,
        args.device,
        hw(args.imgsz),
        task=task,
        runtime=args.runtime,
        precision=args.precision,
        modes=args.modes,
        **{name: value for name, value in options.items() if value},
    )
    if args.verify:
        note(f"verified: {self_test.verify(predictor)}")
    return predictor


def add_tasks_flag(flags: argparse.ArgumentParser) -> None:
    """Adds `--tasks`, which `open_tasks` reads."""
    group = rare(flags, "models of several tasks")
    text = "of a model with several tasks those to run in one pass, of segment, classify, embed, "
    text += "and pca, the colors of its features (default: all but pca)"
    group.add_argument("--tasks", type=lambda text: text.split(","), metavar="NAMES", help=text)


def add_steady_flag(flags: argparse.ArgumentParser) -> None:
    """Adds `--steady` and `--keyframes`, which `open_tasks` reads."""
    from seg.predictors.smoothing import METHODS

    text = "smooth masks over time by this method; see docs/video.md"
    group = rare(flags, "over time")
    group.add_argument("--steady", choices=list(METHODS), help=text)
    text = "run the network where the image changed and at least every S seconds; between, masks "
    text += "go along with the image"
    group.add_argument("--keyframes", type=positive_seconds, metavar="S", help=text)


def open_tasks(
    args: argparse.Namespace, stack: "ExitStack"
) -> "Sequence[Predictor[Any] | StreamSegmenter] | OnePass":
    """Opens the model that the flags name with the predictors of its tasks.

    Args:
        args: The flags of `add_model_flags`, `add_tasks_flag` and `add_steady_flag`.
        stack: Closes the model.

    Returns:
        The predictor of a model with one task, or of one task that was asked for; else all of
        them, which run the network once.
    """
    from seg.predictors.one_pass import OnePass
    from seg.predictors.open import open_predictor as open_on
    from seg.runtimes.open import open_runtime
    from seg.verification import self_test

    runtime = stack.enter_context(
        open_runtime(args.model, args.device, args.runtime, args.precision, args.modes)
    )
    known = list(dict.fromkeys(output.task for output in runtime.spec.outputs))
    tasks = [TASK_WORDS.get(word, word) for word in args.tasks or known]
    has_view = PCA in tasks
    if has_view:
        tasks = list(dict.fromkeys(EMBEDDING if task == PCA else task for task in tasks))
    options = {name: getattr(args, name, None) for name in ("tta", "guided")}
    given = {name: value for name, value in options.items() if value}
    predictors = [
        open_on(runtime, input_hw=hw(args.imgsz), task=task, **(given if not place else {}))
        for place, task in enumerate(tasks)
    ]
    if args.verify:
        note(f"verified: {self_test.verify(predictors[0])}")
    if getattr(args, "steady", None) or getattr(args, "keyframes", None):
        return [_of_stream(predictors, args)]
    if len(predictors) == 1 and not has_view:
        return predictors
    return OnePass(predictors, first_frame_colors() if has_view else None)


def _of_stream(
    predictors: "Sequence[Predictor[Any]]", args: argparse.Namespace
) -> "SteadySegmenter | KeyframeSegmenter":
    """Returns the segmenter with what it remembers of one stream; refuses other tasks."""
    from seg.predictors.keyframes import KeyframeSegmenter
    from seg.predictors.segmenter import Segmenter
    from seg.predictors.smoothing import SteadySegmenter

    first, *others = predictors
    if others or not isinstance(first, Segmenter):
        raise SpecMismatch("--steady and --keyframes are for masks alone; add --tasks segment.")
    if args.steady and args.keyframes:
        raise SpecMismatch("--steady needs every frame predicted; leave --keyframes out.")
    if args.keyframes:
        return KeyframeSegmenter(first, args.keyframes)
    return SteadySegmenter(first, args.steady)


def first_frame_colors() -> "FeatureViewer":
    """Returns what colors features by the components of the first frame's."""
    from seg.features.pca import PcaView
    from seg.predictors.feature_viewer import FeatureViewer

    return FeatureViewer(None, None, lambda found: PcaView.fit([one.patches for one in found]))


def tasks_of(
    predictors: "Sequence[Predictor[Any] | StreamSegmenter] | OnePass",
) -> Sequence[str]:
    """Returns the tasks of what `open_tasks` returned."""
    if isinstance(predictors, Sequence):
        return [predictor.task for predictor in predictors]
    return predictors.tasks


def described(predictors: "Sequence[Predictor[Any] | StreamSegmenter] | OnePass") -> str:
    """Returns what really runs, of what `open_tasks` returned."""
    if isinstance(predictors, Sequence):
        return predictors[0].description
    return predictors.description


def add_imgsz(
    flags: argparse._ActionsContainer, default: tuple[int, int] | None, text: str
) -> None:
    """Adds `--imgsz W H`; read it with `hw`."""
    flags.add_argument(
        "--imgsz", nargs=2, type=positive_int, default=default, metavar=("W", "H"), help=text
    )


def hw(imgsz: Sequence[int] | None) -> "Size | None":
    """Turns the command line's width and height into height and width."""
    return (imgsz[1], imgsz[0]) if imgsz else None


def reuse_of(
    predictors: "Sequence[Predictor[Any] | StreamSegmenter] | OnePass",
) -> dict[str, float]:
    """Returns the share of frames without a run of the network, where `--keyframes` is on."""
    from seg.predictors.keyframes import KeyframeSegmenter

    first = predictors[0] if isinstance(predictors, Sequence) else None
    if not isinstance(first, KeyframeSegmenter):
        return {}
    return {"share_of_reused_frames": first.reused_share}


def positive_seconds(text: str) -> float:
    """Reads a positive number of seconds, for argparse."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got '{text}'")
    return seconds


def positive_int(text: str) -> int:
    """Reads an integer of at least 1, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got '{text}'")
    return int(text)
