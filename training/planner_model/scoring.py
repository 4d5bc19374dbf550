"""Scores requests with a registered model: JSON lines in, one line out for each, with probabilities and plans."""

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from planner_model.candidate_scores import score_plans
from planner_model.errors import TrainingError
from planner_model.examples import Slot, parse_model_input
from planner_model.model_folder import PlannerModel, load_planner_model
from planner_model.packing import PackedPlan, pack_plan
from planner_model.plan_decoding import decode_plan

BATCH_SIZE = 16


def load_model(reference: str, mlflow_url: str) -> PlannerModel:
    """A model by folder, or by name and version such as planner_model/3."""
    if Path(reference).is_dir():
        return load_planner_model(Path(reference))
    name, _, version = reference.rpartition("/")
    if not name or not version.isdigit():
        raise TrainingError(f"{reference} is no folder and no model version such as planner_model/3")
    if not mlflow_url:
        raise TrainingError(f"{reference} is in MLflow: give --mlflow-url or set MLFLOW_URL")
    from planner_model.tracking import Tracking

    with tempfile.TemporaryDirectory(prefix="planner-model-") as folder:
        return load_planner_model(Tracking(mlflow_url).download_model(name, version, Path(folder)))


def score_lines(planner: PlannerModel, lines: Iterable[str]) -> Iterator[str]:
    """For each line {"id", "input"}: {"id", "slots": [{"slot_id", "probabilities"}], "plan", "free_plan", …}.

    `plan` is decoded with the allowed candidates only, `free_plan` with all of them. Raises TrainingError for a line
    that is no request, with its number.
    """
    batch: list[tuple[str, tuple[Slot, ...], PackedPlan]] = []
    for number, line in enumerate(lines, 1):
        try:
            request = json.loads(line)
            context, slots = parse_model_input(request["input"])
            batch.append((request["id"], slots, pack_plan(context, slots, planner.reader)))
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"line {number} of the input is no request: {error!r}") from error
        if len(batch) == BATCH_SIZE:
            yield from _score_batch(planner, batch)
            batch = []
    if batch:
        yield from _score_batch(planner, batch)


def _score_batch(planner: PlannerModel, batch: list[tuple[str, tuple[Slot, ...], PackedPlan]]) -> Iterator[str]:
    started = time.perf_counter()
    with torch.no_grad():
        scores = score_plans(planner.model, [plan for _, _, plan in batch], planner.reader)
    rows = iter(torch.softmax(scores, dim=1).tolist())
    probabilities = [[next(rows)[: len(slot.candidates)] for slot in slots] for _, slots, _ in batch]
    answers: list[dict[str, Any]] = []
    for (request_id, slots, _), shares in zip(batch, probabilities, strict=True):
        answers.append(
            {
                "id": request_id,
                "slots": [
                    {"slot_id": slot.slot_id, "probabilities": share} for slot, share in zip(slots, shares, strict=True)
                ],
                "plan": decode_plan(slots, shares, allowed_only=True),
                "free_plan": decode_plan(slots, shares, allowed_only=False),
            }
        )
    latency_ms = (time.perf_counter() - started) * 1000 / len(batch)
    for answer in answers:
        yield json.dumps({**answer, "latency_ms": latency_ms}, separators=(",", ":"))


def score_stream(reference: str, mlflow_url: str) -> None:
    """Reads standard input, writes standard output."""
    planner = load_model(reference, mlflow_url)
    for line in score_lines(planner, sys.stdin):
        sys.stdout.write(f"{line}\n")
