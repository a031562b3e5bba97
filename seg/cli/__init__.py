"""What the commands share: flags, exit codes, signals and the one logging handler."""

from seg.cli.drawing import (
    add_drawing_flags,
    check_paths_differ,
    overlay_of,
    show_results,
    unit_interval,
)
from seg.cli.flags import (
    add_engine_flags,
    add_imgsz,
    add_model_flags,
    add_steady_flag,
    add_tasks_flag,
    described,
    hw,
    open_predictor,
    open_tasks,
    parser,
    positive_int,
    reuse_of,
    tasks_of,
)
from seg.cli.logs import note
from seg.cli.program import FAILED, INTERRUPTED, OK, run

__all__ = [
    "FAILED", "INTERRUPTED", "OK", "add_drawing_flags", "add_engine_flags", "add_imgsz",
    "add_model_flags", "add_steady_flag", "add_tasks_flag", "check_paths_differ", "described",
    "hw", "note", "open_predictor", "open_tasks", "overlay_of", "parser", "positive_int",
    "reuse_of", "run", "show_results", "tasks_of", "unit_interval",
]  # fmt: skip
