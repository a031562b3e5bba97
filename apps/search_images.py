"""Finds images that look alike, by the features of a frozen backbone.

    python apps/search_images.py index photos --output photos.index --model embed.onnx
    python apps/search_images.py query new.jpg --index photos.index --output found.html found.png
    python apps/search_images.py add more/*.jpg --index photos.index
    python apps/search_images.py remove photos/old --index photos.index
    python apps/search_images.py duplicates --index photos.index --move-to duplicates
    python apps/search_images.py cluster --index photos.index --output clusters --by link
    python apps/search_images.py evaluate --index photos.index
    python apps/search_images.py benchmark --vectors 1000000

A model that embeds images is made by export/from_official.py. docs/search.md explains the rest.
`search_images.py COMMAND --help` lists the flags of each.
"""

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli
from seg.cli.drawing import unit_interval
from seg.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from seg.search.embedding import ImageEmbedding
    from seg.search.image_index import ImageIndex

KINDS = ("flat", "hnsw", "ivfpq")  # as in seg.features.index, which would slow --help down
POOLINGS = ("cls", "mean")
WAYS = ("list", "link", "copy")
log = logging.getLogger("dinoseg")


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser, with one for each command."""
    parser = cli.parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for run, text, add_flags in (
        (index, "make an index of images, or bring one up to date", _index_flags),
        (query, "find the images that are most like given ones", _query_flags),
        (add, "add images that are new or have changed", _add_flags),
        (remove, "take images out of an index; the files stay where they are", _remove_flags),
        (duplicates, "find images of which another one shows all", _duplicates_flags),
        (cluster, "divide the images into groups that are alike", _cluster_flags),
        (evaluate, "measure how many of the nearest images have the same label", _evaluate_flags),
        (benchmark, "time each kind of index on synthetic vectors", _benchmark_flags),
    ):
        command = commands.add_parser(
            run.__name__, help=text, description=f"{text[0].upper()}{text[1:]}.",
            formatter_class=parser.formatter_class, allow_abbrev=False,
        )  # fmt: skip
        command.set_defaults(run=run)
        add_flags(command)
    return parser


def _index_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument("images", nargs="+", metavar="FOLDER", help="folders, images or patterns")
    p.add_argument("--output", type=Path, required=True, metavar="INDEX", help="the index's file")
    p.add_argument("--overwrite", action="store_true", help="make it anew")
    text = "how it is searched: exactly, in a graph, or in cells; default: by size"
    p.add_argument("--kind", choices=KINDS, help=text)
    text = "the class token, or the mean of the patches; default: cls, the mean for a CNN"
    p.add_argument("--pooling", choices=POOLINGS, help=text)
    p.add_argument("--json", action="store_true", help="what was done as JSON")
    _add_reading(p)


def _query_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "images", nargs="+", metavar="IMAGE", help="images, folders, .txt lists of paths"
    )
    p.add_argument("--top", type=cli.positive_int, default=10, metavar="K", help="how many")
    _add_index(p)
    _add_output(p)
    _add_reading(p)


def _add_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument("images", nargs="+", metavar="FOLDER", help="folders, images or patterns")
    _add_index(p)
    _add_reading(p)


def _remove_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument("images", nargs="*", metavar="PATH", help="images, folders or patterns")
    p.add_argument("--missing", action="store_true", help="those whose files are gone")
    _add_index(p)


def _duplicates_flags(p: argparse.ArgumentParser) -> None:
    text = "move what could go into this folder; without it, only list"
    p.add_argument("--move-to", type=Path, metavar="DIR", help=text)
    text = "cosine similarity from which two images are compared"
    p.add_argument("--min-similarity", type=unit_interval, default=0.75, metavar="S", help=text)
    _add_index(p)
    _add_output(p)


def _cluster_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--k", type=cli.positive_int, metavar="K", help="how many; default: by silhouette"
    )
    p.add_argument("--output", type=Path, metavar="DIR", help="a new folder for clusters.csv")
    text = "beside the list: links to the images, or copies, in a folder for each cluster"
    p.add_argument("--by", choices=WAYS, default="list", help=text)
    _add_index(p)


def _evaluate_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument("--top", type=cli.positive_int, default=5, metavar="K", help="how many count")
    text = "labels, as NAME=PATTERN[,PATTERN]; default: each image's folder is its label"
    p.add_argument("--group", nargs="+", default=[], metavar="LABEL", help=text)
    _add_index(p)


def _benchmark_flags(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--vectors", type=cli.positive_int, default=100_000, metavar="N", help="how many"
    )
    p.add_argument(
        "--dimension", type=cli.positive_int, default=384, metavar="D", help="their length"
    )
    p.add_argument("--queries", type=cli.positive_int, default=1000, metavar="N", help="how many")
    p.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    p.add_argument("--json", action="store_true", help="JSON in place of the table")


def _add_index(p: argparse.ArgumentParser) -> None:
    p.add_argument("--index", type=Path, required=True, metavar="INDEX", help="the index's file")
    p.add_argument("--json", action="store_true", help="results as JSON")


def _add_output(p: argparse.ArgumentParser) -> None:
    text = "also show the images: in an .html page, in a .png contact sheet"
    p.add_argument("--output", type=Path, nargs="+", default=[], metavar="FILE", help=text)
    p.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _add_reading(p: argparse.ArgumentParser) -> None:
    p.add_argument("--recursive", action="store_true", help="search subfolders, too")
    cli.add_engine_flags(p, None, "default: the one that the index was made with")


def index(args: argparse.Namespace) -> int:
    """Makes an index, or brings it up to date."""
    from seg.search.image_index import ImageIndex, locked

    path: Path = args.output
    with locked(path):
        found = ImageIndex.load(path) if path.exists() and not args.overwrite else None
        if found is None and args.model is None:
            raise ArtifactError(
                "Name a --model that embeds images; export/from_official.py makes one."
            )
        with _embedding(args, found, path, args.pooling) as embedding:
            if found is None:
                found = ImageIndex(embedding.source, str(args.model.absolute()))
            is_other_kind = args.kind not in (None, found.kind)
            found.kind = args.kind or found.kind
            return _update(args, found, path, embedding, is_other_kind)


def add(args: argparse.Namespace) -> int:
    """Adds images to an index."""
    from seg.search.image_index import ImageIndex, locked

    with locked(args.index):
        found = ImageIndex.load(args.index)
        with _embedding(args, found, args.index) as embedding:
            return _update(args, found, args.index, embedding)


def _update(
    args: argparse.Namespace,
    found: "ImageIndex",
    path: Path,
    embedding: "ImageEmbedding",
    is_other_kind: bool = False,
) -> int:
    """Embeds what is new, builds what the search needs, and saves what has changed."""
    from seg.search.update import missing, update

    report = update(found, args.images, args.recursive, embedding, lambda: found.save(path))
    if not len(found):
        raise DataError("No image can be read:", report.failures)
    before = found.vectors.approximation
    cli.note(found.vectors.build(found.kind))
    if is_other_kind or found.vectors.approximation is not before:
        found.save(path)
    if gone := missing(found):
        cli.note(f"{len(gone)} of its images are not there any more, such as {gone[0]}")
    about = {"index": str(path), "images": len(found), **report.to_dict()}
    print(json.dumps(about) if args.json else f"{path}: {len(found):,} images")
    return _name_faults(report.failures)


def query(args: argparse.Namespace) -> int:
    """Prints what an index holds that is most like given images."""
    from seg.search.image_index import ImageIndex
    from seg.search.query import embed_queries, query_paths, row_of, search
    from seg.search.results_page import check_outputs, write_results

    check_outputs(args.output, args.overwrite)
    found = ImageIndex.load(args.index)
    paths = [path for text in args.images for path in query_paths(text, args.recursive)]
    with _embedding(args, found, args.index) as embedding:
        readable, vectors, faults = embed_queries(paths, embedding)
    cli.note(found.vectors.description)
    answers = search(found, readable, vectors, args.top)
    if args.json:
        print(json.dumps([answer.to_dict() for answer in answers]))
    for answer in answers if not args.json else ():
        print(answer.query)
        for hit in answer.hits:
            print(f"  {hit.similarity:.3f}  {hit.path}{'  (missing)' * hit.is_missing}")
    write_results(args.output, "Images found", map(row_of, answers), args.overwrite)
    return _name_faults(faults)


def remove(args: argparse.Namespace) -> int:
    """Takes images out of an index."""
    from seg.search.image_index import ImageIndex, locked
    from seg.search.update import missing, select

    if not args.images and not args.missing:
        raise DataError("Name what to take out of the index, or add --missing.")
    with locked(args.index):
        found = ImageIndex.load(args.index)
        names = select(found, args.images) + (missing(found) if args.missing else [])
        number = found.remove(names)
        if number:
            cli.note(found.vectors.build(found.kind))
            found.save(args.index)
    about = {"removed": number, "images": len(found)}
    print(json.dumps(about) if args.json else f"{number:,} removed, {len(found):,} left")
    return cli.OK


def duplicates(args: argparse.Namespace) -> int:
    """Lists near-duplicates, and moves those that could go where it is told to."""
    from seg.search.cleanup import move_out, plan_moves
    from seg.search.duplicates import find_duplicates, row_of
    from seg.search.image_index import ImageIndex, locked
    from seg.search.results_page import check_outputs, write_results

    check_outputs(args.output, args.overwrite)
    found = ImageIndex.load(args.index)
    groups, faults = find_duplicates(found, args.min_similarity)
    paths = [one.path for group in groups for one in group.duplicates]
    moves = plan_moves(paths, args.move_to) if args.move_to else []
    write_results(args.output, "Near-duplicates", map(row_of, groups), args.overwrite)
    if args.json:
        print(json.dumps([group.to_dict() for group in groups]))
    for group in groups if not args.json else ():
        print(f"keep {group.kept}")
        for one in group.duplicates:
            print(f"  could go: {one.path} ({one.relation})")
    if moves:
        with locked(args.index):
            found = ImageIndex.load(args.index)
            moved = move_out(moves, groups)
            found.remove(moved)
            found.save(args.index)
        cli.note(f"{len(moved)} images moved into {args.move_to} and out of the index")
    elif paths:
        cli.note(f"{len(paths)} images could go; nothing was moved. --move-to DIR moves them.")
    else:
        cli.note("no near-duplicates")
    return _name_faults(faults)


def cluster(args: argparse.Namespace) -> int:
    """Divides the images of an index into groups."""
    from seg.search.grouping import check_folder, find_clusters, write_clusters
    from seg.search.image_index import ImageIndex

    if args.by != "list" and not args.output:
        raise ArtifactError(f"--by {args.by} needs --output DIR.")
    if args.output:
        check_folder(args.output)
    clusters, why = find_clusters(ImageIndex.load(args.index), args.k)
    cli.note(why)
    faults = write_clusters(args.output, clusters, args.by) if args.output else []
    if args.json:
        print(json.dumps([one.to_dict() for one in clusters]))
    for one in clusters if not args.json else ():
        print(f"{one.name}  {len(one.paths):6,} images, such as {', '.join(one.paths[:2])}")
    return _name_faults(faults)


def evaluate(args: argparse.Namespace) -> int:
    """Prints precision by label, and the recall of approximate search."""
    from seg.search.evaluate import (
        labels_by_folder,
        labels_by_group,
        precision_at,
        read_groups,
        table,
    )
    from seg.search.image_index import ImageIndex

    found = ImageIndex.load(args.index)
    paths = [entry.path for entry in found.entries]
    groups = read_groups(args.group)
    labels = labels_by_group(paths, groups) if groups else labels_by_folder(paths)
    measured = precision_at(found, labels, args.top)
    recall = found.vectors.recall()
    about = {"kind": found.vectors.kind, "recall": recall, "top": args.top}
    rows = [one.to_dict() for one in measured]
    print(json.dumps(about | {"labels": rows}) if args.json else table(measured, args.top))
    cli.note(f"index {found.vectors.kind}: recall@10 {recall:.3f} of exact search, measured now")
    return cli.OK


def benchmark(args: argparse.Namespace) -> int:
    """Times each kind of index on synthetic vectors."""
    from seg.runtimes import environment
    from seg.search.benchmark import intrinsic_dimension, measure, synthetic, table

    vectors = synthetic(args.vectors, args.dimension, seed=0)
    queries = synthetic(args.queries, args.dimension, seed=1)
    measured = measure(vectors, queries, args.kind)
    about = {
        "machine": environment.machine(),
        "versions": environment.versions_line(),
        "vectors": f"{args.vectors:,} of {args.dimension} dimensions, intrinsic dimension "
        f"{intrinsic_dimension(vectors):.1f}; {args.queries:,} queries",
    }
    if args.json:
        print(json.dumps(about | {"kinds": [one.to_dict() for one in measured]}))
    else:
        print("\n".join([*(f"{key}: {text}" for key, text in about.items()), "", table(measured)]))
    return cli.OK


@contextmanager
def _embedding(
    args: argparse.Namespace, found: "ImageIndex | None", path: Path, pooling: str | None = None
) -> "Iterator[ImageEmbedding]":
    """Opens the model of an index, or another one that makes the same vectors."""
    from seg.predictors.embedder import Embedder
    from seg.search.embedding import ImageEmbedding
    from seg.spec import EMBEDDING

    if found is not None:
        args.model = args.model or Path(found.model)
        args.imgsz = args.imgsz or found.source.input_hw[::-1]
    with cli.open_predictor(args, EMBEDDING) as embedder:
        assert isinstance(embedder, Embedder)
        embedding = ImageEmbedding(embedder, pooling or (found and found.source.pooling) or "cls")
        if found is not None:
            found.source.check_same(embedding.source, path)
        cli.note(f"{args.model}: {embedder.description}")
        yield embedding


def _name_faults(faults: Sequence[str]) -> int:
    """Names what could not be read; returns the exit code."""
    for fault in faults:
        log.error("%s", fault)
    return cli.FAILED if faults else cli.OK


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code."""
    args = build_parser().parse_args(argv)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
