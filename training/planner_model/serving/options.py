"""The options of serve_planner.py."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

from planner_model.options import number_between


@dataclass(frozen=True)
class ServingOptions:
    """Checked options; see the help texts below."""

    model: tuple[str, ...]
    mlflow_url: str
    host: str
    port: int
    max_models: int
    max_batch: int
    batch_wait_ms: float
    max_queue: int
    log_level: str


def parse_serving_options(arguments: Sequence[str]) -> ServingOptions:
    """Parses the command line; a wrong one ends the process with code 2 and says what was expected."""
    parser = argparse.ArgumentParser(
        prog="serve_planner.py",
        description="Answers planning requests with registered versions of the planner's model, over HTTP.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--model",
        action="append",
        default=[],
        help="a version such as planner_model/3 that is loaded before the process is ready; may be repeated",
    )
    add("--mlflow-url", default=os.environ.get("MLFLOW_URL", ""), help="default: the environment's MLFLOW_URL")
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    add("--port", type=number_between(int, least=1, most=65535), default=7072, help="port (default: 7072)")
    add(
        "--max-models",
        type=number_between(int, least=1, most=100),
        default=4,
        help="versions in memory; for another one that is asked for, the longest unused one goes (default: 4)",
    )
    add(
        "--max-batch",
        type=number_between(int, least=1, most=256),
        default=16,
        help="requests that go through the model together (default: 16)",
    )
    add(
        "--batch-wait-ms",
        type=number_between(float, least=0, most=60_000),
        default=5.0,
        help="how long a request waits for others, unless it says so itself (default: 5)",
    )
    add(
        "--max-queue",
        type=number_between(int, least=1, most=100_000),
        default=256,
        help="requests that may wait; more are refused with 503 (default: 256)",
    )
    add("--log-level", choices=["debug", "info", "warning", "error"], default="info", help="default: info")
    options = parser.parse_args(arguments)
    if not options.mlflow_url:
        parser.error("give --mlflow-url or set MLFLOW_URL")
    models = tuple(dict.fromkeys(options.model))
    if len(models) > options.max_models:
        parser.error(f"--max-models is {options.max_models} and {len(models)} versions are to be loaded")
    return ServingOptions(**{**vars(options), "model": models})
