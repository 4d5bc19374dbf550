"""Tests of the inference process without MLflow: batches, the shelf of models, and what its door says."""

import asyncio
import json
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import httpx2
import pytest
import torch

from planner_model.errors import TrainingError
from planner_model.examples import to_example
from planner_model.memory import TooLittleMemoryError
from planner_model.model_folder import ModelCard, PlannerModel
from planner_model.plan_decoding import decode_plan
from planner_model.scoring import ReadRequest, read_request, score_lines, score_requests
from planner_model.serving import batching
from planner_model.serving.app import Serving, create_app
from planner_model.serving.batching import (
    BadInputError,
    PlanBatcher,
    Planned,
    QueueFullError,
    TooLateError,
)
from planner_model.serving.exposition import ServingMetrics
from planner_model.serving.log_lines import LineFormatter
from planner_model.serving.model_shelf import ModelShelf, ModelUnavailableError, UnknownModelError
from planner_model.serving.options import parse_serving_options
from planner_model.tiny_model import create_tiny_model, create_tiny_tokenizer
from planner_model.tokens import create_token_reader
from tests.samples import sample_row

EXAMPLES = [to_example(sample_row(number)) for number in range(3)]
READER = create_token_reader(create_tiny_tokenizer(EXAMPLES))
PLANNER = PlannerModel(
    ModelCard("tiny", False, 1, "none", "none", 1), create_tiny_model(len(READER.tokenizer), 1).eval(), READER
)
INPUTS: list[dict[str, Any]] = [json.loads(sample_row(number)["model_input"]) for number in range(6)]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def with_batcher(batcher: PlanBatcher, work: Coroutine[Any, Any, Any]) -> Any:
    """What `work` gives while the batcher runs; a batcher that ends by itself fails the test."""
    worker = asyncio.create_task(batcher.run())
    task = asyncio.create_task(work)
    await asyncio.wait({worker, task}, return_when=asyncio.FIRST_COMPLETED)
    if worker.done():
        task.cancel()
        worker.result()
    worker.cancel()
    return task.result()


def new_batcher(**options: Any) -> PlanBatcher:
    return PlanBatcher(**{"max_batch": 4, "max_queue": 100, "metrics": ServingMetrics(), **options})


def ask(batcher: PlanBatcher, model_input: dict[str, Any], **options: Any) -> Coroutine[Any, Any, Planned]:
    return batcher.plan("m/1", PLANNER, model_input, **{"wait_s": 0.0, "deadline_s": 60.0, **options})


def test_requests_of_one_batch_get_the_plans_that_they_get_alone_and_in_the_offline_replay() -> None:
    batcher = new_batcher(max_batch=6)
    planned = run(with_batcher(batcher, _gather(*(ask(batcher, value, wait_s=60.0) for value in INPUTS))))
    assert [answer.batch_size for answer in planned] == [6] * 6
    lines = [json.dumps({"id": str(index), "input": value}) for index, value in enumerate(INPUTS)]
    for answer, value, line in zip(planned, INPUTS, score_lines(PLANNER, lines), strict=True):
        alone = read_request(PLANNER, value)
        (shares,) = score_requests(PLANNER, [alone])
        assert answer.plan == decode_plan(alone.slots, shares, allowed_only=True) == json.loads(line)["plan"]
        for slot, expected in zip(answer.slots, shares, strict=True):
            assert slot["probabilities"] == pytest.approx(expected, abs=1e-5)
        assert (answer.tokens_in, answer.tokens_out) == (len(alone.packed.ids), 8)


async def _gather(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*work, return_exceptions=True)


def test_a_full_batch_goes_at_once_and_the_rest_when_its_wait_is_over() -> None:
    batcher = new_batcher(max_batch=2)
    planned = run(with_batcher(batcher, _gather(*(ask(batcher, value, wait_s=0.3) for value in INPUTS[:3]))))
    assert [answer.batch_size for answer in planned] == [2, 2, 1]


def test_a_shadow_goes_after_everybody_who_is_due() -> None:
    batcher = new_batcher(max_batch=1)
    order: list[str] = []

    async def noted(name: str, work: Coroutine[Any, Any, Planned]) -> None:
        await work
        order.append(name)

    async def work() -> None:
        shadows = [noted("shadow", ask(batcher, INPUTS[0], is_shadow=True)) for _ in range(2)]
        await asyncio.gather(*shadows, *(noted("served", ask(batcher, INPUTS[1])) for _ in range(3)))

    run(with_batcher(batcher, work()))
    assert order == ["served"] * 3 + ["shadow"] * 2


def test_a_full_queue_refuses_and_who_no_longer_waits_is_not_planned() -> None:
    batcher = new_batcher(max_queue=1)
    full = run(with_batcher(batcher, _gather(*(ask(batcher, value, wait_s=0.05) for value in INPUTS[:3]))))
    assert [type(answer) for answer in full] == [Planned, QueueFullError, QueueFullError]
    patient = new_batcher()
    late = run(with_batcher(patient, _gather(ask(patient, INPUTS[0], wait_s=0.1, deadline_s=0.01))))
    assert [type(answer) for answer in late] == [TooLateError]


def test_a_request_that_cannot_be_read_does_not_take_its_batch_with_it() -> None:
    batcher = new_batcher(max_batch=4)
    wrong: list[dict[str, Any]] = [{}, {**INPUTS[0], "model_input_version": 9}, {**INPUTS[0], "slots": [{}]}]
    answers = run(with_batcher(batcher, _gather(*(ask(batcher, value, wait_s=60.0) for value in [INPUTS[0], *wrong]))))
    assert [type(answer) for answer in answers] == [Planned, BadInputError, BadInputError, BadInputError]
    assert "has version 9, and this release reads version 1" in str(answers[2])


def test_too_little_memory_for_a_batch_is_told_to_those_whom_one_pass_each_does_not_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def score(planner: PlannerModel, requests: Sequence[ReadRequest]) -> list[list[list[float]]]:
        if len(requests) > 1 or requests[0].slots == large.slots:
            raise TooLittleMemoryError("there is too little memory")
        return score_requests(planner, requests)

    large = read_request(PLANNER, INPUTS[1])
    monkeypatch.setattr(batching, "score_requests", score)
    batcher = new_batcher(max_batch=3)
    planned = run(with_batcher(batcher, _gather(*(ask(batcher, value, wait_s=60.0) for value in INPUTS[:3]))))
    assert [type(answer) for answer in planned] == [Planned, TooLittleMemoryError, Planned]
    assert [planned[0].batch_size, planned[2].batch_size] == [1, 1]


def new_shelf(limit: int, known: set[str], loads: list[str], clock: list[float]) -> ModelShelf:
    def load(reference: str) -> PlannerModel:
        loads.append(reference)
        if reference.startswith("broken"):
            raise TrainingError("MLflow is away")
        if reference.startswith("torn"):
            raise ValueError("header too large")
        if reference.startswith("slow"):
            time.sleep(0.3)
            return PLANNER
        if reference not in known:
            raise UnknownModelError(reference)
        return PLANNER

    return ModelShelf(load, limit=limit, metrics=ServingMetrics(), clock=lambda: clock[0])


def test_the_shelf_loads_once_forgets_the_longest_unused_and_keeps_the_named() -> None:
    async def work() -> None:
        loads: list[str] = []
        shelf = new_shelf(2, {"a/1", "a/2", "a/3"}, loads, [0.0])
        await shelf.keep("a/1")
        await asyncio.gather(*(shelf.take("a/2") for _ in range(5)))
        assert loads == ["a/1", "a/2"]
        await shelf.take("a/3")
        assert shelf.loaded == ["a/1", "a/3"]
        await shelf.keep("a/3")
        with pytest.raises(ModelUnavailableError, match="--max-models is 2"):
            await shelf.take("a/2")

    run(work())


def test_what_the_registry_does_not_have_is_asked_for_once_in_a_while() -> None:
    async def work() -> None:
        loads: list[str] = []
        clock = [0.0]
        shelf = new_shelf(2, {"a/1"}, loads, clock)
        await shelf.take("a/1")
        for seconds in (0.0, 9.0, 11.0):
            clock[0] = seconds
            with pytest.raises(UnknownModelError, match="there is no model version a/9; loaded are: a/1"):
                await shelf.take("a/9")
        assert loads == ["a/1", "a/9", "a/9"]
        with pytest.raises(ModelUnavailableError, match="broken/1 cannot be loaded: MLflow is away"):
            await shelf.take("broken/1")
        with pytest.raises(ModelUnavailableError, match="torn/1 cannot be loaded: ValueError: header too large"):
            await shelf.take("torn/1")

    run(work())


def _run_out_of_memory(*_: object, **__: object) -> None:
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


def test_the_door_answers_refuses_and_shows_its_figures_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = ServingMetrics()
    options = parse_serving_options(["--mlflow-url", "http://nowhere"])
    batcher = new_batcher(metrics=metrics)

    async def work() -> None:
        serving = Serving(options, new_shelf(2, {"a/1"}, [], [0.0]), batcher, metrics, logging.getLogger("quiet"))
        transport = httpx2.ASGITransport(app=create_app(serving))
        async with httpx2.AsyncClient(transport=transport, base_url="http://inference") as client:

            async def post(body: Any) -> tuple[int, Any]:
                answer = await client.post("/v1/plans", json=body)
                return answer.status_code, answer.json()

            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/health/ready")).status_code == 503
            status, answer = await post({"model": "a/1", "input": INPUTS[0]})
            assert status == 200
            assert [entry["slot_id"] for entry in answer["plan"]] == [slot["slot_id"] for slot in INPUTS[0]["slots"]]
            assert answer["tokens_in"] > 0
            assert await post({"model": "a/7", "input": {}}) == (
                404,
                {"code": "unknown-model", "message": "there is no model version a/7; loaded are: a/1"},
            )
            status, answer = await post({"model": "broken/1", "input": {}})
            assert (status, answer["code"]) == (503, "model-unavailable")
            status, answer = await post({"model": "a/1", "input": {}})
            assert (status, answer["code"]) == (400, "invalid")
            status, answer = await post({"model": "slow/1", "input": INPUTS[0], "deadline_ms": 50})
            assert (status, answer["code"]) == (504, "too-late")
            with monkeypatch.context() as patched:
                patched.setattr(torch, "softmax", _run_out_of_memory)
                status, answer = await post({"model": "a/1", "input": INPUTS[0]})
            assert (status, answer["code"]) == (503, "out-of-memory")
            assert answer["message"].startswith("there is too little memory to score 1 requests of up to ")
            assert (await post({"model": "a/1", "input": INPUTS[0]}))[0] == 200
            wrong_bodies: list[Any] = [{}, {"model": "a/1"}, {"model": "a/1", "input": INPUTS[0], "more": 1}, []]
            for wrong in wrong_bodies:
                status, answer = await post(wrong)
                assert (status, answer["code"]) == (400, "invalid"), answer
            assert (await client.get("/nothing")).json()["code"] == "not-found"
            text = (await client.get("/metrics")).text
        assert 'inference_plans_total{model="a/1",outcome="answered",service="planner-inference"} 2' in text
        assert 'inference_plans_total{model="",outcome="unknown-model",service="planner-inference"} 1' in text
        assert 'inference_plans_total{model="",outcome="unavailable",service="planner-inference"} 1' in text
        assert 'inference_batch_size_bucket{le="1",service="planner-inference"}' in text

    run(with_batcher(batcher, work()))


def test_a_log_line_is_one_line_of_json_whatever_failed() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it failed", (), (type(error), error, None))
    line = LineFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["cause"] == "ValueError: two\nlines"
