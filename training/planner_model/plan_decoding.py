"""Decodes a plan as JSON under a grammar: llguidance permits only the plan's schema and, per slot, the permitted ids.

The model gives each slot a distribution over its candidates; the probability of the next piece of text is the mass of
the candidates that go on with it. The grammar is made from the JSON schema of the plan with the permitted ids of each
slot, so nothing else can be written: what is not in the grammar has no way out.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import llguidance

from planner_model.errors import TrainingError
from planner_model.examples import Slot

MAX_TEXT_BYTES = 65_536


@cache
def _byte_tokenizer() -> Any:
    """One token for every byte: the choice is made among ids, whatever the tokenizer of the model."""
    return llguidance.LLTokenizer("byte")


def decode_plan(
    slots: Sequence[Slot], probabilities: Sequence[Sequence[float]], *, allowed_only: bool
) -> list[dict[str, str]]:
    """The most probable plan that the grammar permits: slot_id and recipe_id for each slot that can be filled.

    A recipe that is in the plan already is taken again only where nothing else is permitted.
    """
    plan: list[dict[str, str]] = []
    used: set[str] = set()
    for slot, shares in zip(slots, probabilities, strict=True):
        permitted = {
            candidate.recipe_id: share
            for candidate, share in zip(slot.candidates, shares, strict=True)
            if candidate.allowed or not allowed_only
        }
        fresh = {recipe_id: share for recipe_id, share in permitted.items() if recipe_id not in used}
        choices = fresh or permitted
        if choices:
            entry = _decode_slot(slot.slot_id, choices)
            used.add(entry["recipe_id"])
            plan.append(entry)
    return plan


def slot_schema(slot_id: str, recipe_ids: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of one slot of a plan: this slot, and one of these recipes."""
    return {
        "type": "object",
        "properties": {"slot_id": {"const": slot_id}, "recipe_id": {"enum": list(recipe_ids)}},
        "required": ["slot_id", "recipe_id"],
        "additionalProperties": False,
    }


def _decode_slot(slot_id: str, shares: dict[str, float]) -> dict[str, str]:
    grammar = llguidance.LLMatcher.grammar_from_json_schema(
        json.dumps(slot_schema(slot_id, sorted(shares))), {"whitespace_flexible": False}
    )
    matcher = llguidance.LLMatcher(_byte_tokenizer(), grammar)
    if matcher.is_error():
        raise TrainingError(f"the grammar of slot {slot_id} is wrong: {matcher.get_error()}")
    texts = {_to_text(slot_id, recipe_id): share for recipe_id, share in shares.items()}
    written = b""
    while not matcher.is_accepting() and len(written) < MAX_TEXT_BYTES:
        forced = matcher.compute_ff_bytes()
        piece = forced or _most_probable_byte(written, texts)
        if not matcher.try_consume_tokens(list(piece)) == len(piece):
            raise TrainingError(f"the grammar of slot {slot_id} does not permit what the model writes")
        written += piece
    entry: dict[str, str] = json.loads(written)
    return entry


def _to_text(slot_id: str, recipe_id: str) -> bytes:
    return json.dumps({"slot_id": slot_id, "recipe_id": recipe_id}, separators=(",", ":"), ensure_ascii=False).encode()


def _most_probable_byte(written: bytes, texts: dict[bytes, float]) -> bytes:
    """The next byte of the most probable text that goes on from here: the exact best plan, not the best next byte."""
    going_on = {text: share for text, share in texts.items() if text.startswith(written)}
    best = max(going_on, key=lambda text: (going_on[text], text))
    return best[len(written) : len(written) + 1]
