"""Task: what a training is about; Trainer knows nothing else of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer

from seg.data.samples import DataSet
from seg.models.base import Net
from seg.spec import ModelSpec
from seg.training.config import TrainingConfig

Batch = Any  # what a task's batches are is its own business


class Task(Protocol):
    """What a training is about; made of its configuration, data sets, device and cache folder."""

    @property
    def task(self) -> str:
        """The key of its network in `seg.models.nets` and of its predictor."""

    @classmethod
    def open_sets(cls, config: Any, cache_dir: Path | None) -> Sequence[DataSet]:
        """Opens the data sets that a configuration names.

        Raises:
            DataError: A data set is missing or damaged.
        """

    @classmethod
    def check_data(cls, sets: Sequence[DataSet], config: Any) -> None:
        """Reads all data once, logs what is odd; raises DataError where it is faulty."""

    @classmethod
    def check_split(cls, sets: Sequence[DataSet]) -> None:
        """Raises DataError where a split has nothing to learn from, or to validate on."""

    @property
    def config(self) -> TrainingConfig:
        """All its choices."""

    @property
    def monitor(self) -> str:
        """The score of the validation that decides which epoch is best; higher is better."""

    @property
    def metrics(self) -> Mapping[str, str]:
        """What `validate` returns, in the order of tables: how each is called in them."""

    def build(self) -> tuple[Net, ModelSpec]:
        """Builds the network on the training's device, its frozen parts frozen, and its spec."""

    def prepare(self, net: Net, folder: Path, is_new: bool) -> None:
        """Does what comes before the first epoch.

        Args:
            net: The network of `build`.
            folder: The run's.
            is_new: Whether no epoch was trained yet.
        """

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yields an epoch's batches; they depend on the configuration and on `epoch` alone."""

    def loss(self, net: Net, batch: Batch) -> Mapping[str, Tensor]:
        """Computes the parts of the loss, weighted; their sum is minimized, each is logged."""

    def validate(self, net: Net) -> Mapping[str, float]:
        """Measures a network on the validation data."""

    def fingerprint(self) -> Mapping[str, str]:
        """Returns what the data is, by part; a training is resumed with the same alone."""

    def optimizer(self, net: Net) -> Optimizer:
        """Makes what optimizes a network; the rate of a group is multiplied by its `lr_scale`."""

    @classmethod
    def compare(cls, runs: Mapping[str, Sequence[Path]], folder: Path) -> str:
        """Compares variants of a training beyond their logs; writes into a folder.

        Args:
            runs: The folders of the runs of each variant, by its options.
            folder: That of all runs.

        Returns:
            What to print; empty where there is nothing to add.
        """

    def draw(self, net: Net, folder: Path) -> None:
        """Draws examples of the network's predictions into the run's folder."""
