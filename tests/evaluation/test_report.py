"""Reports: what stands where there is no score."""

from seg.evaluation.report import ReportLayout, markdown, table

LAYOUT = ReportLayout(
    headlines={"miou": "mIoU", "false_area": "false area"},
    by_class={"iou": "IoU", "recall": "recall"},
    more_tables=lambda report: [],
    notes="",
)
REPORT = {
    "imgsz": (96, 64), "canvas": (96, 64), "stride": 32, "data": "folder", "split": "val",
    "num_images": 1, "model": "a.pt", "arch": "lite", "engine": "torch",
    "miou": 0.5, "false_area": None,
    "intervals_95": {"miou": [0.25, 0.75], "false_area": [None, None]},
    "iou": {"cat": 0.5, "dog": None}, "recall": {"cat": 0.0, "dog": None},
    "worst_images": [],
}  # fmt: skip


def test_a_class_without_a_score_has_a_dash_which_is_not_zero() -> None:
    assert "| cat | 0.5000 | 0.0000 |" in markdown(REPORT, LAYOUT).splitlines()
    assert "| dog | - | - |" in markdown(REPORT, LAYOUT).splitlines()
    (dog,) = (line for line in table(REPORT, LAYOUT) if line.startswith("dog"))
    assert dog.split() == ["dog", "-", "-"]


def test_a_headline_without_a_score_is_left_out() -> None:
    assert "mIoU" in markdown(REPORT, LAYOUT) and "false area" not in markdown(REPORT, LAYOUT)
