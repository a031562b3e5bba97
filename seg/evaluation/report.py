"""Report: what an evaluation found, as lines for a terminal and as Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]
# Key -> what people call it; keys without a value are left out.
HEADLINES = {
    "miou": "mIoU",
    "foreground_iou": "foreground IoU",
    "boundary_iou": "boundary IoU",
    "boundary_f": "boundary F",
    "iou_small": "IoU, small",
    "iou_medium": "IoU, medium",
    "iou_large": "IoU, large",
    "pixel_accuracy": "pixel accuracy",
    "false_area": "false area",
}
CLASS_COLUMNS = {
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "boundary_iou_by_class": "edge IoU",
    "boundary_f_by_class": "edge F",
}
NOTES = """95 %: where the score lies when the pictures are drawn again (bootstrap over pictures).
Boundary IoU: pixels within 2 % of the diagonal from an edge. Boundary F: contours within 0.8 %.
Small, medium, large: objects under a quarter, under half, and from half the picture's height on.
False area: share of the background called something else, in pictures of background alone."""


def table(report: Report) -> list[str]:
    """Returns a report as lines for people."""
    lines = [f"{name:14}  {value}" for name, value in _about(report)]
    for name, value, interval in _headlines(report):
        lines.append(f"{name:14}  {value}  (95 % of redrawn sets: {interval})")
    if report["miou"] is not None:
        heads = [f"{head:>9}" for head in CLASS_COLUMNS.values()]
        lines.append("  ".join([f"{'class':14}", *heads]))
        for name, values in _classes(report):
            lines.append("  ".join([f"{name:14}", *(f"{value:>9}" for value in values)]))
    worst = "; ".join(f"{name} {score:.4f}" for name, score in worst_of(report)[:3])
    return [*lines, f"{'worst':14}  {worst}"] if worst else lines


def markdown(report: Report) -> str:
    """Returns a report as Markdown, notes on the scores included."""
    lines = [f"- {name}: {value}" for name, value in _about(report)]
    lines += ["", *markdown_table(["score", "value", "95 %"], _headlines(report))]
    if report["miou"] is not None:
        rows = [[name, *values] for name, values in _classes(report)]
        lines += ["", *markdown_table(["class", *CLASS_COLUMNS.values()], rows)]
        sizes = [
            [name, size, str(cell["num_objects"]), shown(cell["iou"])]
            for name, row in report["by_height"].items()
            for size, cell in row.items()
            if cell["num_objects"]
        ]
        lines += ["", *markdown_table(["class", "objects", "number", "IoU"], sizes)]
    scores = [[name, shown(score)] for name, score in worst_of(report)[:10]]
    lines += ["", *markdown_table(["worst pictures", "score"], scores), "", *NOTES.splitlines()]
    return "\n".join(lines) + "\n"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns a Markdown table's lines; each row has a cell for each head."""
    first, *others = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return [first, "|" + "---|" * len(heads), *others]


def worst_of(report: Report) -> list[tuple[str, float]]:
    """Returns names and scores of the pictures, worst first: IoU, or false area where it has none.

    A false area of 0.1 stands beside an IoU of 0.9. Pictures without a score are left out.
    """
    found = []
    for row in report["images"]:
        iou, area = row.get("foreground_iou"), row.get("false_area")
        if iou is not None:
            found.append((iou, row["name"], iou))
        elif area is not None:
            found.append((1 - area, row["name"], area))
    return [(name, score) for _, name, score in sorted(found)]


def shown(score: float | None) -> str:
    """Returns a score with four digits, or a dash."""
    return "-" if score is None else f"{score:.4f}"


def _about(report: Report) -> Iterator[tuple[str, str]]:
    width, height = report["imgsz"]
    canvas = "x".join(map(str, report["canvas"] or ())) or f"multiples of {report['stride']}"
    yield "data", f"{report['data']}, {report['split']}: {report['num_images']} pictures"
    yield "model", f"{report['model']}: {report['arch']}, {report['engine']}"
    extras = f", --tta {report['tta']}" if report["tta"] else ""
    extras += ", --guided" if report["guided"] else ""
    yield "fitted into", f"{width}x{height}, canvas {canvas}{extras}"


def _headlines(report: Report) -> Iterator[tuple[str, str, str]]:
    for key, name in HEADLINES.items():
        if report[key] is not None:
            low, high = map(shown, report["intervals_95"][key])
            yield name, shown(report[key]), f"{low} to {high}"


def _classes(report: Report) -> Iterator[tuple[str, list[str]]]:
    for name in report["iou"]:
        yield name, [shown(report[key][name]) for key in CLASS_COLUMNS]
