"""What the original code computed, as tensors."""

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def arrays(golden):
    """Reads a golden file's arrays."""

    def load(stem):
        with np.load(golden / f"{stem}.npz") as file:
            return {key: torch.from_numpy(np.asarray(file[key])) for key in file}

    return load
