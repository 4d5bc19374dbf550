"""Fits a model to examples: batches in a seeded order, listwise loss, early stopping, a state that can be resumed."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from planner_model.candidate_scores import score_plans
from planner_model.examples import Example, Slot
from planner_model.packing import PackedPlan, pack_examples
from planner_model.tokens import TokenReader

SMALLEST_LOG_PROBABILITY = -30.0


@dataclass(frozen=True)
class FitOptions:
    """How to fit. `patience` is the number of epochs without improvement after which fitting stops."""

    epochs: int
    learning_rate: float
    batch_size: int
    accumulation: int
    seed: int
    edited_weight: float
    patience: int
    warmup_steps: int = 30
    weight_decay: float = 0.01
    clip: float = 1.0


@dataclass
class EpochResult:
    """What an epoch gave. `losses` holds (step, training loss)."""

    epoch: int
    losses: list[tuple[int, float]]
    validation_loss: float
    offline_score: float


@dataclass
class FitState:
    """Where fitting stands after an epoch; enough to go on as if it had not stopped."""

    epoch: int = 0
    step: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    optimizer: dict[str, Any] | None = None
    results: list[EpochResult] = field(default_factory=list)


TargetsOf = Callable[[Slot, int], list[float]]


def household_targets(slot: Slot, width: int) -> list[float]:
    """All weight on what the household cooks; none where that is not known."""
    return [1.0 if index == slot.target else 0.0 for index in range(width)]


def logged_targets(slot: Slot, width: int) -> list[float]:
    """The probabilities with which the logging policy chose: the whole distribution, not one draw of it."""
    logged = slot.propensities or ()
    return [*logged, *([0.0] * (width - len(logged)))]


def listwise_loss(
    scores: torch.Tensor, slots: Sequence[Slot], targets_of: TargetsOf, edited_weight: float
) -> torch.Tensor:
    """Cross-entropy of targets and the softmax of each slot's scores; edited slots count `edited_weight` times."""
    width = scores.shape[1]
    targets = torch.tensor([targets_of(slot, width) for slot in slots], device=scores.device)
    weights = torch.tensor([edited_weight if slot.is_edited else 1.0 for slot in slots], device=scores.device)
    weighted = targets * weights[:, None]
    logs = torch.log_softmax(scores, dim=1).clamp(min=SMALLEST_LOG_PROBABILITY)
    return -(weighted * logs).sum() / weighted.sum().clamp(min=1e-9)


def fit(
    model: Any,
    reader: TokenReader,
    splits: tuple[Sequence[Example], Sequence[Example]],
    options: FitOptions,
    targets_of: TargetsOf,
    *,
    state: FitState | None = None,
    on_step: Callable[[int, int, float], None] = lambda _step, _steps, _loss: None,
    on_epoch: Callable[[FitState], None] = lambda _state: None,
) -> FitState:
    """Fits until the epochs are over or validation stops improving. `splits` are training and validation examples."""
    training, validation = splits
    packed = list(zip(pack_examples(training, reader), training, strict=True))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trainable, lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    steps_per_epoch = math.ceil(math.ceil(len(packed) / options.batch_size) / options.accumulation)
    steps = steps_per_epoch * options.epochs
    state = state or FitState()
    if state.optimizer is not None:
        optimizer.load_state_dict(state.optimizer)
    while state.epoch < options.epochs and state.epoch - state.best_epoch <= options.patience:
        # Dropout of the adapters: seeded per epoch, so that a resumed run draws the same.
        torch.manual_seed(options.seed * 1_000 + state.epoch)
        model.train()
        losses: list[tuple[int, float]] = []
        for group in _grouped(_epoch_batches(packed, options, state.epoch), options.accumulation):
            for parameters in optimizer.param_groups:
                parameters["lr"] = options.learning_rate * schedule(state.step, steps, options.warmup_steps)
            total = 0.0
            for batch in group:
                slots = [slot for _, example in batch for slot in example.slots]
                scores = score_plans(model, [plan for plan, _ in batch], reader)
                loss = listwise_loss(scores, slots, targets_of, options.edited_weight) / len(group)
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            torch.nn.utils.clip_grad_norm_(trainable, options.clip)
            optimizer.step()
            optimizer.zero_grad()
            state.step += 1
            losses.append((state.step, total))
            on_step(state.step, steps, total)
        validation_loss, offline_score = evaluate(model, reader, validation, options, targets_of)
        state.results.append(EpochResult(state.epoch, losses, validation_loss, offline_score))
        if validation_loss < state.best_loss:
            state.best_loss, state.best_epoch = validation_loss, state.epoch
        state.epoch += 1
        state.optimizer = optimizer.state_dict()
        on_epoch(state)
    return state


def evaluate(
    model: Any, reader: TokenReader, examples: Sequence[Example], options: FitOptions, targets_of: TargetsOf
) -> tuple[float, float]:
    """Loss as in training, and the share of the slots whose best allowed candidate is what the household cooks."""
    model.eval()
    total = hits = weight = 0.0
    answered = 0
    packed = list(zip(pack_examples(examples, reader), examples, strict=True))
    with torch.no_grad():
        for batch in _batches(packed, options.batch_size * 4):
            slots = [slot for _, example in batch for slot in example.slots]
            scores = score_plans(model, [plan for plan, _ in batch], reader)
            part = sum(options.edited_weight if slot.is_edited else 1.0 for slot in slots if slot.target is not None)
            total += float(listwise_loss(scores, slots, targets_of, options.edited_weight)) * part
            weight += part
            for slot, row in zip(slots, scores.tolist(), strict=True):
                if slot.target is not None:
                    answered += 1
                    hits += best_allowed(slot, row) == slot.target
    return total / max(weight, 1e-9), hits / max(answered, 1)


def best_allowed(slot: Slot, scores: Sequence[float]) -> int | None:
    """Index of the allowed candidate with the highest score; None when none is allowed."""
    allowed = [index for index, candidate in enumerate(slot.candidates) if candidate.allowed]
    return max(allowed, key=lambda index: scores[index]) if allowed else None


def schedule(step: int, steps: int, warmup_steps: int) -> float:
    """Share of the learning rate: a linear start, then half a cosine down to 2 %."""
    warmup = min(1.0, (step + 1) / max(1, min(warmup_steps, steps // 4)))
    return warmup * max(0.02, 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))))


Packed = list[tuple[PackedPlan, Example]]


def _epoch_batches(packed: Packed, options: FitOptions, epoch: int) -> list[Packed]:
    """Batches of plans of similar length, in an order that follows from seed and epoch alone."""
    order = random.Random(f"{options.seed}/{epoch}")
    shuffled = order.sample(packed, len(packed))
    shuffled.sort(key=lambda pair: len(pair[0].ids))
    batches = _batches(shuffled, options.batch_size)
    order.shuffle(batches)
    return batches


def _batches(packed: Packed, size: int) -> list[Packed]:
    return [packed[start : start + size] for start in range(0, len(packed), size)]


def _grouped(batches: list[Packed], size: int) -> list[list[Packed]]:
    return [batches[start : start + size] for start in range(0, len(batches), size)]
