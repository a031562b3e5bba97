"""Shows what a model sees: the patches of images, videos and cameras in colors of their features.

    python apps/show_features.py --model embed.onnx --input photos --output out
    python apps/show_features.py --model embed.onnx --input clip.mp4 --basis colors.npz
    python apps/show_features.py --model embed.onnx --input a.jpg --view kmeans --clusters 8
    python apps/show_features.py --model embed.onnx --input a.jpg --query 320 200
    python apps/show_features.py --model embed.onnx --input 0

pca: the first principal component splits off the background, black; the foreground's first three
are red, green and blue. One basis is made for all of --input, of a camera for its first frame;
--basis FILE reads it from there where it exists, else keeps it there, so that colors stay the same.
A model comes from export/from_official.py --backbone NAME. See docs/features.md.
"""

import argparse
import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seg import cli
from seg.cli import media
from seg.errors import DataError, SourceError, SpecMismatch

if TYPE_CHECKING:
    from seg.features.views import View
    from seg.imaging.letterbox import Size
    from seg.predictors.embedder import Embedder
    from seg.results import Features, UInt8
    from seg.video.base import Source

NUM_FITTED = 24  # images or frames that a basis is made of, spread evenly
INPUT_HW = (640, 640)  # for models that take any size
VIEWS = ("pca", "kmeans", "similarity")


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    media.add_media_flags(parser)
    parser.add_argument("--view", choices=VIEWS, help="default: pca, with --query similarity")
    text = "similarity of every patch to the one at this pixel of the first image"
    parser.add_argument("--query", nargs=2, type=int, metavar=("X", "Y"), help=text)
    parser.add_argument("--whole", action="store_true", help="pca: color the background, too")
    text = "of --view kmeans (default: 6)"
    parser.add_argument("--clusters", type=cli.positive_int, metavar="K", help=text)
    text = "colors to use, or where to keep those that are made"
    parser.add_argument("--basis", type=Path, metavar="FILE", help=text)
    cli.add_engine_flags(parser, None, "made by export/from_official.py --backbone")
    text = "of the colors, 0 to 1"
    parser.add_argument("--opacity", type=cli.unit_interval, default=0.8, help=text)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    check_flags(args)
    from contextlib import ExitStack

    from seg.imaging.annotators import Style
    from seg.imaging.overlay import Overlay
    from seg.predictors.feature_viewer import FeatureViewer
    from seg.video import loop
    from seg.video.color_change import ColorChange
    from seg.video.image_folder import ImageFolder
    from seg.video.meter import Meter
    from seg.video.pipeline import Pipeline

    meter = Meter()
    with ExitStack() as stack:
        source = stack.enter_context(media.open_input(args.input, args.recursive))
        is_video = not isinstance(source, ImageFolder)
        sinks, files = media.open_sinks(source, args, meter, "features")
        for sink in sinks:
            stack.enter_context(sink)
        embedder = _open_embedder(args, stack)
        view = _view(args, source, embedder)
        change = ColorChange()
        viewer = FeatureViewer(embedder, view, lambda found: _fit(args, found))
        overlay = Overlay(Style(opacity=args.opacity))
        pipeline = Pipeline([viewer], overlay, meter, show_fps=source.live)
        report = loop.run(source, pipeline, [*sinks, *([change] if is_video else [])], meter)
    numbers = {}
    if is_video and change.mean is not None:
        numbers["mean_color_change_on_static_pixels"] = change.mean
        numbers["share_of_static_pixels"] = change.static_share
    faults = [report.damage] if report.damage else getattr(source, "failures", [])
    return cli.show_results({"outputs": files}, report, faults, args.json, numbers)


def check_flags(args: argparse.Namespace) -> None:
    """Raises where flags contradict each other."""
    args.view = args.view or ("similarity" if args.query else "pca")
    if (args.view == "similarity") != bool(args.query):
        raise SpecMismatch("--view similarity and --query X Y go together.")
    if args.clusters and args.view != "kmeans":
        raise SpecMismatch("--clusters is of --view kmeans.")
    if args.whole and args.view != "pca":
        raise SpecMismatch("--whole is of --view pca.")
    if args.model is None:
        raise SpecMismatch(
            "Name a --model that embeds images; python export/from_official.py --backbone "
            "efficientnet_lite0 --output embed.pt makes one."
        )


def _open_embedder(args: argparse.Namespace, stack: Any) -> "Embedder":
    """Opens the model for whole frames; larger than it embeds them, where it takes any size."""
    from seg.predictors.embedder import Embedder

    opened = stack.enter_context(cli.open_predictor(args, Embedder.task, fit="letterbox"))
    size: Size | None = cli.hw(args.imgsz)
    if size is None and opened.runtime.spec.canvas_hw is None:
        size = INPUT_HW
    embedder = Embedder(opened.runtime, input_hw=size, fit="letterbox")
    cli.note(f"{args.model}: {embedder.description}")
    return embedder


def _view(args: argparse.Namespace, source: "Source", embedder: "Embedder") -> "View | None":
    """Reads the view, or makes it of all images; None where the first frame of a camera does."""
    from seg.features.views import load_view, save_view
    from seg.predictors.feature_viewer import source_of

    made_by = source_of(embedder.runtime.spec)
    if args.basis and args.basis.exists():
        view = load_view(args.basis, made_by)
        if view.kind != args.view:
            raise SpecMismatch(f"{args.basis} is of --view {view.kind}; got {args.view}.")
        cli.note(f"colors of {args.basis}")
        return view
    if source.live:
        if args.basis:
            raise SpecMismatch(f"No basis at {args.basis}; make it of images or a video first.")
        return None
    images = _first(args) if args.query else _spread(args)
    if not images:
        raise SourceError(f"No image of {args.input} can be read; expected one to show.")
    found = [embedder(image) for image in images]
    view = _fit(args, found)
    cli.note(f"colors made of {len(found)} {source.unit}{'s' * (len(found) > 1)}")
    if args.basis:
        save_view(args.basis, view, made_by)
    return view


def _fit(args: argparse.Namespace, found: "Sequence[Features]") -> "View":
    """Makes the view that the flags ask for."""
    from seg.features.pca import PcaView
    from seg.features.views import KMeansView, SimilarityView

    if args.query:
        x, y = args.query
        return SimilarityView.fit(found[0].patches, found[0].patch_at(y, x))
    grids = [features.patches for features in found]
    if args.view == "kmeans":
        return KMeansView.fit(grids, args.clusters or 6)
    return PcaView.fit(grids, is_whole=args.whole)


def _first(args: argparse.Namespace) -> "list[UInt8]":
    with media.open_input(args.input, args.recursive) as source:
        return [frame.image for frame in itertools.islice(source, 1)]


def _spread(args: argparse.Namespace) -> "list[UInt8]":
    """Reads images, or frames, spread evenly."""
    from seg.imaging.image_io import read_image
    from seg.video.image_folder import ImageFolder

    with media.open_input(args.input, args.recursive) as source:
        step = max(1, -(-(source.num_frames or NUM_FITTED) // NUM_FITTED))
        if isinstance(source, ImageFolder):  # which reads only those that are taken
            images = []
            for path in [*source.paths.values()][::step]:
                with contextlib.suppress(DataError):  # the run names it
                    images.append(read_image(path))
            return images
        return [frame.image for frame in itertools.islice(source, 0, NUM_FITTED * step, step)]


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
