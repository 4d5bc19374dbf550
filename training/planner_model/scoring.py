"""Scores requests with a registered model: JSON lines in, one line out for each, with probabilities and plans."""

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from planner_model.candidate_scores import score_plans
from planner_model.errors import TrainingError
from planner_model.examples import Slot, parse_model_input
from planner_model.memory import explaining_too_little_memory
from planner_model.model_folder import PlannerModel, load_planner_model
from planner_model.packing import PackedPlan, pack_plan
from planner_model.plan_decoding import decode_plan

BATCH_SIZE = 16


def split_reference(reference: str) -> tuple[str, str]:
    """Name and version of planner_model/3. Raises TrainingError for another text."""
    name, _, version = reference.rpartition("/")
    if not name or not (version.isascii() and version.isdigit()):
        raise TrainingError(f"{reference} is no model version such as planner_model/3")
    return name, version


def load_model(reference: str, mlflow_url: str) -> PlannerModel:
    """A model by folder, or by name and version such as planner_model/3."""
    with explaining_too_little_memory(f"there is too little memory to load {reference}"):
        return _load_model(reference, mlflow_url)


def _load_model(reference: str, mlflow_url: str) -> PlannerModel:
    if Path(reference).is_dir():
        return load_planner_model(Path(reference))
    name, version = split_reference(reference)
    if not mlflow_url:
        raise TrainingError(f"{reference} is in MLflow: give --mlflow-url or set MLFLOW_URL")
    from planner_model.tracking import Tracking

    with tempfile.TemporaryDirectory(prefix="planner-model-") as folder:
        return load_planner_model(Tracking(mlflow_url).download_model(name, version, Path(folder)))


@dataclass(frozen=True)
class ReadRequest:
    """A planning request as the model reads it."""

    slots: tuple[Slot, ...]
    packed: PackedPlan

    @property
    def tokens_in(self) -> int:
        """Tokens that go through the model."""
        return len(self.packed.ids)

    @property
    def tokens_out(self) -> int:
        """Answers that are read off: one yes or no for each candidate."""
        return sum(len(slot.candidates) for slot in self.slots)


def read_request(planner: PlannerModel, model_input: Mapping[str, Any]) -> ReadRequest:
    """Raises TrainingError for another version of the model input, KeyError, TypeError or ValueError for none at all."""
    context, slots = parse_model_input(model_input)
    return ReadRequest(slots, pack_plan(context, slots, planner.reader))


def score_requests(planner: PlannerModel, requests: Sequence[ReadRequest]) -> list[list[list[float]]]:
    """For each request and slot the probability of each candidate. One pass for all of them; replay and serving use it.

    Raises TooLittleMemoryError when they do not fit together.
    """
    longest = max(request.tokens_in for request in requests)
    sentence = f"there is too little memory to score {len(requests)} requests of up to {longest} tokens at once"
    with torch.no_grad(), explaining_too_little_memory(sentence):
        scores = score_plans(planner.model, [request.packed for request in requests], planner.reader)
        rows = iter(torch.softmax(scores, dim=1).tolist())
    return [[next(rows)[: len(slot.candidates)] for slot in request.slots] for request in requests]


def score_lines(planner: PlannerModel, lines: Iterable[str]) -> Iterator[str]:
    """For each line {"id", "input"}: {"id", "slots": [{"slot_id", "probabilities"}], "plan", "free_plan", …}.

    `plan` is decoded with the allowed candidates only, `free_plan` with all of them. Raises TrainingError for a line
    that is no request, with its number.
    """
    batch: list[tuple[str, ReadRequest]] = []
    for number, line in enumerate(lines, 1):
        try:
            request = json.loads(line)
            batch.append((request["id"], read_request(planner, request["input"])))
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"line {number} of the input is no request: {error!r}") from error
        if len(batch) == BATCH_SIZE:
            yield from _score_batch(planner, batch)
            batch = []
    if batch:
        yield from _score_batch(planner, batch)


def _score_batch(planner: PlannerModel, batch: list[tuple[str, ReadRequest]]) -> Iterator[str]:
    started = time.perf_counter()
    probabilities = score_requests(planner, [request for _, request in batch])
    answers: list[dict[str, Any]] = []
    for (request_id, request), shares in zip(batch, probabilities, strict=True):
        answers.append(
            {
                "id": request_id,
                "slots": to_slot_answers(request, shares),
                "plan": decode_plan(request.slots, shares, allowed_only=True),
                "free_plan": decode_plan(request.slots, shares, allowed_only=False),
            }
        )
    latency_ms = (time.perf_counter() - started) * 1000 / len(batch)
    for answer in answers:
        yield json.dumps({**answer, "latency_ms": latency_ms}, separators=(",", ":"))


def to_slot_answers(request: ReadRequest, shares: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """The probabilities of each slot, as both programs write them."""
    return [
        {"slot_id": slot.slot_id, "probabilities": list(share)}
        for slot, share in zip(request.slots, shares, strict=True)
    ]


def score_stream(reference: str, mlflow_url: str) -> None:
    """Reads standard input, writes standard output."""
    planner = load_model(reference, mlflow_url)
    for line in score_lines(planner, sys.stdin):
        sys.stdout.write(f"{line}\n")
