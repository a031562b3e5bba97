"""Evaluation of masks, at the images' own size, and how a report shows it."""

from collections.abc import Callable, Sequence
from typing import Final

from seg.data.samples import Sample
from seg.evaluation.evaluate import Evaluation, evaluate
from seg.evaluation.report import Report, ReportLayout, Table, shown
from seg.imaging.letterbox import Letterbox, hw_of
from seg.metrics import SegmentationMetrics
from seg.predictors.segmenter import Segmenter
from seg.results import Float32, UInt8

Observer = Callable[[Float32, UInt8, Letterbox], None]


def evaluate_segmenter(
    segmenter: Segmenter, samples: Sequence[Sample], observe: Observer | None = None
) -> Evaluation[SegmentationMetrics]:
    """Segments images and counts their pixels.

    Args:
        segmenter: The model.
        samples: Images with labels of the model's classes.
        observe: Called for each image with its logits `(C, h, w)`, of the first pass, its labels
            `(H, W)` and the letterbox between them.

    Raises:
        DataError: There is no sample, or one cannot be read.
        ShapeError: A label is none of the model's classes.
        EngineFailure: The engine failed.
    """
    num_classes = len(segmenter.classes)

    def measure(sample: Sample) -> SegmentationMetrics:
        image, labels = sample.load()
        predictions = segmenter.predict_logits(image)
        if observe:
            observe(predictions[0].logits, labels, predictions[0].letterbox)
        predicted, objects = segmenter.decode(predictions), sample.objects(hw_of(image))
        return SegmentationMetrics.of_image(labels, predicted, num_classes, objects)

    return evaluate(samples, measure, segmenter.classes)


def _size_tables(report: Report) -> list[Table]:
    rows = [
        [name, size, str(cell["num_objects"]), shown(cell["iou"])]
        for name, row in report["iou_by_size"].items()
        for size, cell in row.items()
        if cell["num_objects"]
    ]
    return [(["class", "objects", "number", "IoU"], rows)]


LAYOUT: Final = ReportLayout(
    headlines={
        "miou": "mIoU",
        "foreground_iou": "foreground IoU",
        "boundary_iou": "boundary IoU",
        "boundary_f": "boundary F",
        "iou_small": "IoU, small",
        "iou_medium": "IoU, medium",
        "iou_large": "IoU, large",
        "pixel_accuracy": "pixel accuracy",
        "false_positive_area": "false-positive area",
    },
    by_class={
        "iou": "IoU",
        "precision": "precision",
        "recall": "recall",
        "boundary_iou_by_class": "boundary IoU",
        "boundary_f_by_class": "boundary F",
    },
    more_tables=_size_tables,
    notes="""95 % CI: percentile bootstrap over images.
Boundary IoU: pixels within 2 % of the diagonal from an edge. Boundary F: contours within 0.8 %.
Small, medium, large: objects under a quarter, under half, and from half the image's height on.
False-positive area: share predicted as another class, in images of background alone.""",
)
