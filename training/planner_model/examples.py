"""Training examples: what a model reads of a request, what was offered, and what the household made of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner_model.errors import TrainingError

MODEL_INPUT_VERSION = 1


@dataclass(frozen=True)
class Candidate:
    """A recipe on offer. `text` is what the model reads of it; `allowed` is false where it breaks a hard rule."""

    recipe_id: str
    text: str
    allowed: bool


@dataclass(frozen=True)
class Slot:
    """One slot of a plan. `target` is the index of the candidate that the household cooks, where that is known."""

    slot_id: str
    candidates: tuple[Candidate, ...]
    target: int | None = None
    is_edited: bool = False
    propensities: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Example:
    """One plan: the words about the household, and its slots."""

    plan_id: str
    household_id: str
    context: str
    slots: tuple[Slot, ...]


def parse_model_input(value: Mapping[str, Any]) -> tuple[str, tuple[Slot, ...]]:
    """Context and slots of a model input. Raises TrainingError for another version of it."""
    version = value.get("model_input_version")
    if version != MODEL_INPUT_VERSION:
        raise TrainingError(
            f"the model input has version {version}, and this release reads version {MODEL_INPUT_VERSION}"
        )
    slots = tuple(
        Slot(
            slot_id=slot["slot_id"],
            candidates=tuple(Candidate(c["recipe_id"], c["text"], c["allowed"]) for c in slot["candidates"]),
        )
        for slot in value["slots"]
    )
    return value["context"], slots


def to_example(row: Mapping[str, Any]) -> Example:
    """A row of a dataset file, whose JSON columns are text, as an example."""
    context, slots = parse_model_input(json.loads(row["model_input"]))
    final = _recipes_by_slot(row["final_plan"])
    edited = set(json.loads(row["edited_slots"])) if row["edited_slots"] else set()
    choices = {choice["slot_id"]: choice for choice in json.loads(row["action_propensities"])}
    return Example(
        plan_id=row["plan_id"],
        household_id=row["household_id"],
        context=context,
        slots=tuple(_with_answer(slot, final, edited, choices) for slot in slots),
    )


def _recipes_by_slot(plan: str | None) -> dict[str, str]:
    return {slot["slot_id"]: slot["recipe_id"] for slot in json.loads(plan)["slots"]} if plan else {}


def _with_answer(slot: Slot, final: Mapping[str, str], edited: set[str], choices: Mapping[str, Any]) -> Slot:
    ids = [candidate.recipe_id for candidate in slot.candidates]
    recipe_id = final.get(slot.slot_id)
    choice = choices.get(slot.slot_id)
    propensities = tuple(choice["propensities"]) if choice and sum(choice["propensities"]) > 0 else None
    return Slot(
        slot_id=slot.slot_id,
        candidates=slot.candidates,
        target=ids.index(recipe_id) if recipe_id in ids else None,
        is_edited=slot.slot_id in edited,
        propensities=propensities,
    )


def shuffle_targets(examples: Sequence[Example], seed: int) -> list[Example]:
    """The same examples with answers that say nothing: every slot gets the position of another slot's answer."""
    import random

    order = random.Random(seed)
    positions = [slot.target for example in examples for slot in example.slots if slot.target is not None]
    order.shuffle(positions)
    remaining = iter(positions)

    def shuffled(slot: Slot) -> Slot:
        if slot.target is None:
            return slot
        position = next(remaining) % len(slot.candidates)
        return Slot(slot.slot_id, slot.candidates, position, slot.is_edited, slot.propensities)

    return [Example(e.plan_id, e.household_id, e.context, tuple(shuffled(slot) for slot in e.slots)) for e in examples]
