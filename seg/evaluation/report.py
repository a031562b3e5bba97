"""Report: what an evaluation found, as lines for a terminal and as Markdown."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]
Table = tuple[Sequence[str], Sequence[Sequence[str]]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReportLayout:
    """How a task's scores are shown.

    Attributes:
        headlines: Title of each headline score, in order; one without a value is left out.
        by_class: Title of each score by class. They are shown where the first headline has a
            value.
        more_tables: Returns further tables for Markdown, shown under the same condition.
        notes: What the scores mean.
    """

    headlines: Mapping[str, str]
    by_class: Mapping[str, str]
    more_tables: Callable[[Report], Sequence[Table]]
    notes: str


def table(report: Report, layout: ReportLayout) -> list[str]:
    """Returns a report as human-readable lines.

    Args:
        report: The model, the data, and `Evaluation.to_dict`.
        layout: Of the task.
    """
    lines = [f"{name:19}  {value}" for name, value in _about(report)]
    for name, value, interval in _headlines(report, layout):
        lines.append(f"{name:19}  {value}  (bootstrap 95 % CI: {interval})")
    if _has_classes(report, layout):
        heads, rows = _class_table(report, layout)
        width = max(map(len, heads[1:]))
        for name, *cells in (heads, *rows):
            lines.append("  ".join([f"{name:19}", *(f"{cell:>{width}}" for cell in cells)]))
    worst = "; ".join(f"{row['name']} {shown(row['score'])}" for row in report["worst_images"][:3])
    return [*lines, f"{'worst':19}  {worst}"] if worst else lines


def markdown(report: Report, layout: ReportLayout) -> str:
    """Returns a report as Markdown, notes on the scores included; see `table`."""
    lines = [f"- {name}: {value}" for name, value in _about(report)]
    tables: list[Table] = [(["score", "value", "95 % CI"], list(_headlines(report, layout)))]
    if _has_classes(report, layout):
        tables += [_class_table(report, layout), *layout.more_tables(report)]
    worst = [[row["name"], shown(row["score"])] for row in report["worst_images"]]
    for heads, rows in (*tables, (["worst images", "score"], worst)):
        lines += ["", *markdown_table(heads, rows)]
    return "\n".join([*lines, "", *layout.notes.splitlines()]) + "\n"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns a Markdown table's lines; each row has a cell for each head."""
    first, *others = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return [first, "|" + "---|" * len(heads), *others]


def shown(score: float | None) -> str:
    """Returns a score with four digits, or a dash."""
    return "-" if score is None else f"{score:.4f}"


def _about(report: Report) -> Iterator[tuple[str, str]]:
    width, height = report["imgsz"]
    canvas = "x".join(map(str, report["canvas"] or ())) or f"multiples of {report['stride']}"
    yield "data", f"{report['data']}, {report['split']}: {report['num_images']} images"
    yield "model", f"{report['model']}: {report['arch']}, {report['engine']}"
    extras = f", --tta {report['tta']}" if report.get("tta") else ""
    extras += ", --guided" if report.get("guided") else ""
    yield "fitted into", f"{width}x{height}, canvas {canvas}{extras}"
    if "knn" in report:
        yield "k-NN", report["knn"]


def _headlines(report: Report, layout: ReportLayout) -> Iterator[tuple[str, str, str]]:
    for key, name in layout.headlines.items():
        if report[key] is not None:
            low, high = map(shown, report["intervals_95"][key])
            yield name, shown(report[key]), f"{low} to {high}"


def _has_classes(report: Report, layout: ReportLayout) -> bool:
    return report[next(iter(layout.headlines))] is not None


def _class_table(report: Report, layout: ReportLayout) -> Table:
    names = report[next(iter(layout.by_class))]
    rows = [[name, *(shown(report[key][name]) for key in layout.by_class)] for name in names]
    return ["class", *layout.by_class.values()], rows
