"""The options of train_planner.py."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingOptions:
    """Checked options; see the help texts below."""

    dataset: str
    model: str
    epochs: int
    learning_rate: float
    batch_size: int
    gradient_accumulation: int
    lora_rank: int
    lora_dropout: float
    qlora: bool
    edited_weight: float
    patience: int
    prefit_epochs: int
    seed: int
    shuffle_targets: bool
    resume: bool
    output: Path
    model_name: str
    policy_id: str
    training_key: str
    mlflow_url: str


def number_between(kind: Callable[[str], float], *, least: float, most: float) -> Callable[[str], float]:
    """A parser for argparse that refuses what is no number or out of bounds, and says what was expected."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}")
        return value

    return parse


def parse_options(arguments: Sequence[str]) -> TrainingOptions:
    """Parses the command line; a wrong one ends the process with code 2 and says what was expected."""
    count = number_between(int, least=1, most=100_000)
    none_or_more = number_between(int, least=0, most=100_000)
    parser = argparse.ArgumentParser(
        prog="train_planner.py",
        description="Fine-tunes the planner's model on a dataset and registers it in MLflow.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--dataset", required=True, help="a folder, an s3:// address, or a dataset version (64 hex digits)")
    add("--model", default="tiny", help="tiny, a short name such as llama-3-8b, a hub id, or a folder (default: tiny)")
    add("--epochs", type=count, default=6, help="passes over the training split (default: 6)")
    add("--learning-rate", type=number_between(float, least=1e-8, most=1), help="default: 0.004 for tiny, else 0.0002")
    add("--batch-size", type=count, default=8, help="plans in memory at once (default: 8)")
    add("--gradient-accumulation", type=count, default=1, help="batches for each step of the optimizer (default: 1)")
    add("--lora-rank", type=count, default=16, help="rank of the adapter (default: 16)")
    add("--lora-dropout", type=number_between(float, least=0, most=0.9), default=0.05, help="default: 0.05")
    add("--qlora", action="store_true", help="hold the base model in 4 bits")
    add(
        "--edited-weight",
        type=number_between(float, least=0, most=1000),
        default=3.0,
        help="how often a slot counts that the household changed (default: 3)",
    )
    add(
        "--patience", type=count, default=2, help="epochs without a better validation loss before it stops (default: 2)"
    )
    add(
        "--prefit-epochs",
        type=none_or_more,
        default=1,
        help="epochs in which tiny learns to plan as the log did (default: 1)",
    )
    add("--seed", type=none_or_more, default=1, help="seed of everything random (default: 1)")
    add(
        "--shuffle-targets",
        action="store_true",
        help="a control: answers that say nothing; such a model must fail the gate",
    )
    add("--resume", action="store_true", help="go on from the last finished epoch in --output")
    add("--output", type=Path, default=Path("planner-run"), help="folder of the run's files (default: planner-run)")
    add("--model-name", default="planner_model", help="name in MLflow's registry (default: planner_model)")
    add("--policy-id", default="planner", help="policy that the model is for (default: planner)")
    add("--training-key", default="", help="a second run with the same key finds the version of the first one")
    add("--mlflow-url", default=os.environ.get("MLFLOW_URL", ""), help="default: the environment's MLFLOW_URL")
    options = parser.parse_args(arguments)
    if not options.mlflow_url:
        parser.error("give --mlflow-url or set MLFLOW_URL")
    if options.learning_rate is None:
        options.learning_rate = 0.004 if options.model == "tiny" else 0.0002
    return TrainingOptions(**vars(options))
