"""TensorBoardLogger: the log's rows for TensorBoard, for those who have it."""

from pathlib import Path

from seg.errors import EngineMissing
from seg.training.run import Row


class TensorBoardLogger:
    """Writes each epoch's row as scalars; the only code that imports tensorboard.

    Args:
        folder: Where TensorBoard looks for it.

    Raises:
        EngineMissing: The package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise EngineMissing(
                "--tensorboard needs the package tensorboard, which is not installed; "
                "pip install tensorboard, or leave it out: log.csv holds the same."
            ) from error
        self._writer = SummaryWriter(str(folder))

    def __call__(self, row: Row) -> None:
        """Writes one row, at once."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()
