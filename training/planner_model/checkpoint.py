"""The state of an unfinished run in its output folder, written after every epoch and read by --resume."""

from pathlib import Path
from typing import Any

import torch

from planner_model.errors import TrainingError
from planner_model.fitting import FitState

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(folder: Path, identity: dict[str, Any], state: FitState, adapter: dict[str, torch.Tensor]) -> None:
    """Replaces the checkpoint; a crash leaves the old one or the new one."""
    unfinished = folder / f"{CHECKPOINT}.new"
    torch.save({"identity": identity, "state": state.__dict__, "adapter": adapter}, unfinished)
    unfinished.replace(folder / CHECKPOINT)


def load_checkpoint(folder: Path, identity: dict[str, Any]) -> tuple[FitState, dict[str, torch.Tensor]]:
    """State and adapter weights. Raises TrainingError when there are none, or when they are of another run."""
    path = folder / CHECKPOINT
    if not path.exists():
        raise TrainingError(f"there is nothing to resume in {folder}: no epoch was finished")
    # Written by this program, but a pickle all the same: never load one from elsewhere.
    saved = torch.load(path, map_location="cpu", weights_only=False)
    different = sorted(name for name, value in identity.items() if saved["identity"].get(name) != value)
    if different:
        raise TrainingError(f"the run in {folder} was started with another {', '.join(different)}: resume it unchanged")
    return FitState(**saved["state"]), saved["adapter"]
