"""Tests that too little memory becomes one sentence, and nothing else does."""

import pytest
import torch

from planner_model.errors import TrainingError
from planner_model.memory import explaining_too_little_memory


def test_what_no_machine_can_hold_is_the_sentence() -> None:
    with pytest.raises(TrainingError, match=r"^too little$"), explaining_too_little_memory("too little"):
        torch.empty(2**55, dtype=torch.uint8)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_every_way_to_say_it_is_the_sentence(error: Exception) -> None:
    with pytest.raises(TrainingError, match=r"^too little$"), explaining_too_little_memory("too little"):
        raise error


def test_another_error_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes"), explaining_too_little_memory("too little"):
        raise RuntimeError("shapes do not match")
