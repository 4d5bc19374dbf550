"""Too little memory as one sentence: on a GPU, on the CPU and in the libraries it has many faces."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from planner_model.errors import TrainingError

# What libraries throw as a plain RuntimeError: torch on the CPU, the CUDA driver, cuBLAS.
SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


class TooLittleMemoryError(TrainingError):
    """There is too little memory for what was asked."""


@contextmanager
def explaining_too_little_memory(sentence: str) -> Iterator[None]:
    """Raises TooLittleMemoryError with the sentence where the block runs out of memory; every other error stays as it is."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise TooLittleMemoryError(sentence) from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in SIGNS):
            raise TooLittleMemoryError(sentence) from error
        raise
