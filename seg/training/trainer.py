"""Trainer: the one training loop; what is trained is a `Task`'s business."""

import functools
import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seg.errors import SegError
from seg.models.base import Net
from seg.models.checkpoint import published_names
from seg.progress import track
from seg.training.optim import AveragedNet, train_mode, trained_names
from seg.training.run import Row, Run
from seg.training.schedule import learning_rate
from seg.training.task import Task

log = logging.getLogger("dinoseg")


class Trainer:
    """Everything that changes while a network is trained.

    Args:
        task: What is trained.
        run: Where everything is kept.

    Attributes:
        task: As given.
        run: As given.
        net: The network.
        spec: What it is.
    """

    def __init__(self, task: Task, run: Run) -> None:
        self.task, self.run = task, run
        self.net, self.spec = task.build()
        self._config = config = task.config.optim
        self._optimizer = task.optimizer(self.net)
        self._average = AveragedNet(self.net, config.ema) if config.ema else None
        self._published = published_names(self.net)
        self._is_prepared = False

    @property
    def eval_net(self) -> Net:
        """The network that is evaluated and kept: the averaged one where there is one."""
        return self._average.net if self._average else self.net

    def prepare(self) -> None:
        """Does what comes before the first epoch, once."""
        if not self._is_prepared:
            self.task.prepare(self.net, self.run.folder, not self.run.history)
        self._is_prepared = True

    def epochs(self) -> Iterator[Row]:
        """Trains from the epoch that the run has reached to the last.

        Yields:
            Each epoch's row of the log, when the run holds it.

        Raises:
            SegError: The loss is not finite.
        """
        self.prepare()
        for epoch in range(len(self.run.history), self._config.epochs):
            if self.run.should_stop(self._config.patience):
                name = self.task.metrics[self.task.monitor]
                log.info("stopped: no better %s in %d epochs", name, self._config.patience)
                return
            started = time.monotonic()
            row = {"epoch": epoch + 1, **self._train(epoch)}
            row |= self.task.validate(self.eval_net)
            row["seconds"] = time.monotonic() - started
            self.run.save_epoch(
                self.eval_net, self.spec, row, self._state(), without=self._published
            )
            yield row

    def resume(self) -> None:
        """Takes up where the run's last epoch ended; the rest is as if there had been no stop.

        Raises:
            ArtifactError: As of `Run.resume`.
        """
        contents = self.run.resume(self.task.config.to_dict(), self._fingerprint())
        training = contents["training"]
        for net, state in ((self.eval_net, contents["state"]), (self.net, training["net"])):
            net.load_state_dict(state, strict=False)  # without the frozen parts
        self._optimizer.load_state_dict(training["optimizer"])
        if self._average:
            self._average.num_updates = training["averaged"]

    def _state(self) -> dict[str, Any]:
        trained = trained_names(self.net) if self._average else ()  # else it is the model itself
        state = self.net.state_dict()
        return {
            "net": {name: state[name].detach().cpu().clone() for name in trained},
            "optimizer": self._optimizer.state_dict(),
            "averaged": self._average.num_updates if self._average else 0,
            "config": self.task.config.to_dict(),
            "data": self._fingerprint(),
        }

    def _fingerprint(self) -> dict[str, str]:
        frozen = {"backbone": self.spec.weights_id} if self.spec.weights_id else {}
        return {**self.task.fingerprint(), **frozen}

    def _train(self, epoch: int) -> Row:
        """Trains one epoch; returns the last learning rate, and the mean loss and its parts."""
        train_mode(self.net)
        rate, steps = 0.0, self.task.steps_per_epoch
        totals: dict[str, float] = {}
        for index, batch in enumerate(track(self.task.batches(epoch), f"epoch {epoch + 1}", steps)):
            rate = self._set_rate(epoch * steps + index, steps)
            parts = self._step(self.task.loss(self.net, batch))
            if not math.isfinite(loss := sum(parts.values())):
                raise SegError(
                    f"The loss is {loss} in epoch {epoch + 1}; lower --lr, or train in "
                    "--precision float32. The run's folder holds the epochs before."
                )
            for name, part in ("loss", loss), *parts.items():
                totals[f"train_{name}"] = totals.get(f"train_{name}", 0.0) + part
        return {"lr": rate, **{name: total / steps for name, total in totals.items()}}

    def _set_rate(self, step: int, steps: int) -> float:
        rate = learning_rate(
            step,
            base=self._config.lr,
            steps=self._config.epochs * steps,
            scheduler=self._config.scheduler,
            warmup=self._config.warmup,
            milestones=[epoch * steps for epoch in self._config.scheduler_epochs],
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        return rate

    def _step(self, parts: Mapping[str, Tensor]) -> dict[str, float]:
        loss = functools.reduce(torch.add, parts.values())
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._trained(), self._config.clip)
        self._optimizer.step()
        if self._average:
            self._average.update(self.net)
        return {name: float(part.detach()) for name, part in parts.items()}

    def _trained(self) -> Iterator[nn.Parameter]:
        return (p for group in self._optimizer.param_groups for p in group["params"])
