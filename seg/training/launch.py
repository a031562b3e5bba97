"""Launching trainings: what train.py does for any task, once its flags are read."""

import argparse
import importlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from seg.files.atomic import atomic_write
from seg.models.nets import check_arch
from seg.runtimes.pytorch import pick_device
from seg.training.autocast import resolve
from seg.training.commands import Command, variants_of
from seg.training.comparison import Result, draw_histories, write
from seg.training.curves import draw_curves
from seg.training.init_weights import check_init
from seg.training.memory import translate_oom
from seg.training.network import summary
from seg.training.run import Row, Run, locked
from seg.training.sweep import plan
from seg.training.tensorboard_logger import TensorBoardLogger
from seg.training.trainer import Trainer

DRAW_EVERY_S = 30.0

log = logging.getLogger("dinoseg")


def launch(command: Command, args: argparse.Namespace) -> str:
    """Trains what the flags of a sub-command ask for, once or several times.

    Returns:
        The path of the model to use, or of several trainings a table.

    Raises:
        SegError: A choice, the data or the disk makes it impossible.
    """
    module, _, name = command.task.partition(":")
    task_type: type[Any] = getattr(importlib.import_module(module), name)  # of a Task
    configs = variants_of(command, args)
    config = next(iter(configs.values()))
    check_arch(config.model.arch, task_type.task)
    if config.model.init and not args.resume:
        check_init(Path(config.model.init), config.model.arch)
    folder, device = args.output or Path("runs") / config.model.arch, pick_device(args.device)
    sets = task_type.open_sets(config, args.cache_dir)
    task_type.check_data(sets, config)
    trials = plan(configs, sets, folder, args.sweep, args.folds or 0, args.seeds or ())
    for trial in trials:
        task_type.check_split(trial.sets)
    is_many = bool(args.folds or args.sweep or args.seeds or args.compare)
    runs = [Run(trial.folder, task_type.monitor) for trial in trials]
    results: list[Result] = []
    with locked(folder):
        for run in runs if not args.resume else ():
            run.start(args.overwrite)
        for number, (trial, run) in enumerate(zip(trials, runs, strict=True), 1):
            trainer = Trainer(task_type(trial.config, trial.sets, device, args.cache_dir), run)
            # Of many trainings, those that had not begun are started.
            if args.resume and (run.last.exists() or not is_many):
                trainer.resume()
            report_start(trainer, device, f"{number}/{len(trials)}: " * is_many)
            loggers = [TensorBoardLogger(run.folder / "tensorboard")] if args.tensorboard else []
            with translate_oom(trial.config.step_size, run.folder):
                row = train(trainer, loggers)[-1]
            results.append(Result(trial.overrides, trial.fold, row, trial.config.optim.seed))
        return compare(folder, results, runs, task_type) if is_many else str(runs[0].result)


def compare(
    folder: Path, results: Sequence[Result], runs: Sequence[Run], task_type: type[Any]
) -> str:
    """Writes what several trainings scored, as tables and as plots; returns the tables."""
    by_options: dict[str, list[Run]] = {}
    for result, run in zip(results, runs, strict=True):
        by_options.setdefault(result.overrides, []).append(run)
    histories = {name: [run.history for run in group] for name, group in by_options.items()}
    with atomic_write(folder / "histories.png") as part:
        draw_histories(histories, task_type.monitor).savefig(part, dpi=100)
    folders = {name: [run.folder for run in group] for name, group in by_options.items()}
    tables = [write(folder, results, task_type.metrics), task_type.compare(folders, folder)]
    return "\n\n".join(text for text in tables if text)


def report_start(trainer: Trainer, device: torch.device, place: str) -> None:
    """Logs what is trained, where, and which checkpoints of a resumed run are missing.

    Args:
        trainer: About to train.
        device: Where it trains.
        place: Which of several trainings it is; empty where it is the only one.
    """
    for line in trainer.run.missing_checkpoints():
        log.info("%s", line)
    log.info("%s", summary(trainer.net, trainer.spec))
    precision = resolve(trainer.task.config.optim.precision, device)
    log.info("%straining on %s in %s, into %s", place, device, precision, trainer.run.folder)


def train(trainer: Trainer, loggers: Sequence[Callable[[Row], None]] = ()) -> list[Row]:
    """Trains to the end; draws the run's images at most twice a minute, and at the end.

    Args:
        trainer: What is trained.
        loggers: Each is called with every epoch's row.

    Returns:
        The rows of all epochs, those before a stop too.
    """
    metrics, num_epochs = trainer.task.metrics, trainer.task.config.optim.epochs
    drawn = time.monotonic()
    for row in trainer.epochs():
        for logger in loggers:
            logger(row)
        scores = "  ".join(f"{label} {row[key]:.4f}" for key, label in metrics.items())
        log.info(
            "epoch %d/%d  loss %.4f  %s  %.0f s",
            row["epoch"], num_epochs, row["train_loss"], scores, row["seconds"],
        )  # fmt: skip
        # Where an epoch takes a second, images of each would take as long again.
        if row["epoch"] < num_epochs and time.monotonic() - drawn > DRAW_EVERY_S:
            draw(trainer)
            drawn = time.monotonic()
    draw(trainer)
    return trainer.run.history


def draw(trainer: Trainer) -> None:
    """Draws a run's curves, and what its network predicts."""
    folder = trainer.run.folder
    draw_curves(trainer.run.history, trainer.task.metrics, folder / "curves.png")
    trainer.task.draw(trainer.eval_net, folder)
