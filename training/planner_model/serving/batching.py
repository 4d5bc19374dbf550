"""Puts requests that arrive together through the model together: small batches, bounded waits, a bounded queue."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from planner_model.errors import TrainingError
from planner_model.model_folder import PlannerModel
from planner_model.plan_decoding import decode_plan
from planner_model.scoring import ReadRequest, read_request, score_requests, to_slot_answers
from planner_model.serving.exposition import ServingMetrics


class QueueFullError(Exception):
    """Too many requests wait already."""


class TooLateError(Exception):
    """The request waited until its caller no longer waits."""


class BadInputError(Exception):
    """The model input cannot be read."""


@dataclass(frozen=True)
class Planned:
    """The answer to one request."""

    slots: list[dict[str, Any]]
    plan: list[dict[str, str]]
    tokens_in: int
    tokens_out: int
    batch_size: int


@dataclass
class _Waiting:
    model_input: Mapping[str, Any]
    answer: asyncio.Future[Planned]
    goes_at: float
    expires_at: float
    planner: PlannerModel = field(repr=False)


Outcome = Planned | Exception
Key = tuple[bool, str]
"""Whether it is a shadow, and the model."""


class PlanBatcher:
    """A request goes with the next batch of its model, at the latest when its wait is over. One batch at a time."""

    def __init__(
        self,
        *,
        max_batch: int,
        max_queue: int,
        metrics: ServingMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_batch, self._max_queue, self._metrics, self._clock = max_batch, max_queue, metrics, clock
        self._queues: dict[Key, list[_Waiting]] = {}
        self._changed = asyncio.Event()
        # One thread: the tokenizer and the model belong to it, and two passes at once would only share the processor.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    @property
    def waiting(self) -> int:
        """Requests in all queues."""
        return sum(len(queue) for queue in self._queues.values())

    async def plan(
        self,
        name: str,
        planner: PlannerModel,
        model_input: Mapping[str, Any],
        *,
        wait_s: float,
        deadline_s: float,
        is_shadow: bool = False,
    ) -> Planned:
        """Raises QueueFullError at once, BadInputError or TooLateError later. A shadow goes when nobody else is due."""
        if self.waiting >= self._max_queue:
            raise QueueFullError
        now = self._clock()
        answer: asyncio.Future[Planned] = asyncio.get_running_loop().create_future()
        self._queues.setdefault((is_shadow, name), []).append(
            _Waiting(model_input, answer, now + wait_s, now + deadline_s, planner)
        )
        self._metrics.waiting.set(self.waiting)
        self._changed.set()
        return await answer

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            self._changed.clear()
            now = self._clock()
            key = self._find_due(now)
            if key is None:
                await self._wait_for_change(now)
                continue
            batch = self._take(key, now)
            if not batch:
                continue
            loop = asyncio.get_running_loop()
            outcomes = await loop.run_in_executor(self._thread, self._answer_batch, batch)
            self._metrics.batch_size.observe(len(batch))
            for waiting, outcome in zip(batch, outcomes, strict=True):
                _settle(waiting, outcome)

    def _find_due(self, now: float) -> Key | None:
        """The model whose due request has waited longest past its time; shadows after all others."""
        due = [
            (key[0], min(waiting.goes_at for waiting in queue), key)
            for key, queue in self._queues.items()
            if queue and (len(queue) >= self._max_batch or any(waiting.goes_at <= now for waiting in queue))
        ]
        return min(due)[2] if due else None

    async def _wait_for_change(self, now: float) -> None:
        times = [waiting.goes_at for queue in self._queues.values() for waiting in queue]
        try:
            await asyncio.wait_for(self._changed.wait(), max(0.0, min(times) - now) if times else None)
        except TimeoutError:
            return

    def _take(self, key: Key, now: float) -> list[_Waiting]:
        """The next batch in order of arrival; who no longer waits is answered here."""
        queue = self._queues[key]
        batch: list[_Waiting] = []
        while queue and len(batch) < self._max_batch:
            waiting = queue.pop(0)
            if waiting.expires_at <= now:
                _settle(waiting, TooLateError())
            elif not waiting.answer.done():
                batch.append(waiting)
        if not queue:
            del self._queues[key]
        self._metrics.waiting.set(self.waiting)
        return batch

    def _answer_batch(self, batch: list[_Waiting]) -> list[Outcome]:
        """Runs in the model's thread. A request that cannot be read or scored does not take the others with it."""
        planner = batch[0].planner
        read = [_read(planner, waiting.model_input) for waiting in batch]
        planned = iter(_plan(planner, [request for request in read if isinstance(request, ReadRequest)]))
        return [next(planned) if isinstance(request, ReadRequest) else request for request in read]


def _plan(planner: PlannerModel, requests: Sequence[ReadRequest]) -> list[Outcome]:
    """One pass for all; where it fails, as for too little memory, one for each: most of them may be answered so."""
    try:
        shares = score_requests(planner, requests) if requests else []
        return [_decode(request, share, len(requests)) for request, share in zip(requests, shares, strict=True)]
    except Exception as error:  # whatever it is, the callers wait for an answer and the process for its log
        if len(requests) == 1:
            return [error]
    return [outcome for request in requests for outcome in _plan(planner, [request])]


def _read(planner: PlannerModel, model_input: Mapping[str, Any]) -> ReadRequest | BadInputError:
    try:
        request = read_request(planner, model_input)
    except TrainingError as error:
        return BadInputError(str(error))
    except (ValueError, KeyError, TypeError) as error:
        return BadInputError(f"it is no model input: {error!r}")
    if not request.slots or any(not slot.candidates for slot in request.slots):
        return BadInputError("every request needs a slot, and every slot a candidate")
    return request


def _decode(request: ReadRequest, shares: list[list[float]], batch_size: int) -> Planned:
    return Planned(
        slots=to_slot_answers(request, shares),
        plan=decode_plan(request.slots, shares, allowed_only=True),
        tokens_in=request.tokens_in,
        tokens_out=request.tokens_out,
        batch_size=batch_size,
    )


def _settle(waiting: _Waiting, outcome: Outcome) -> None:
    if waiting.answer.done():
        return
    if isinstance(outcome, Exception):
        waiting.answer.set_exception(outcome)
    else:
        waiting.answer.set_result(outcome)
