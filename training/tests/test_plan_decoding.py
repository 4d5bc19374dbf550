"""Tests that a decoded plan is the best one that the grammar permits, and that nothing else can be written."""

import json

import llguidance

from planner_model.examples import Candidate, Slot
from planner_model.plan_decoding import decode_plan, slot_schema


def slot_with(*candidates: tuple[str, bool]) -> Slot:
    return Slot(
        "2026-01-05/dinner", tuple(Candidate(recipe_id, recipe_id, allowed) for recipe_id, allowed in candidates)
    )


def test_takes_the_most_probable_candidate_although_ids_begin_alike() -> None:
    slot = slot_with(("aglio", True), ("aglio-e-olio", True), ("crêpes", True))
    for shares, expected in [
        ([0.2, 0.5, 0.3], "aglio-e-olio"),
        ([0.4, 0.35, 0.25], "aglio"),
        # Two ids that begin alike have more mass together, but neither is the best.
        ([0.3, 0.3, 0.4], "crêpes"),
    ]:
        plan = decode_plan([slot], [shares], allowed_only=True)
        assert plan == [{"slot_id": "2026-01-05/dinner", "recipe_id": expected}]


def test_what_breaks_a_rule_is_taken_only_without_constraint() -> None:
    slot = slot_with(("nut-soup", False), ("rice", True))
    assert decode_plan([slot], [[0.9, 0.1]], allowed_only=True)[0]["recipe_id"] == "rice"
    assert decode_plan([slot], [[0.9, 0.1]], allowed_only=False)[0]["recipe_id"] == "nut-soup"


def test_a_slot_without_an_allowed_candidate_stays_open_and_a_recipe_is_repeated_only_if_it_must() -> None:
    closed = slot_with(("nut-soup", False))
    twice = slot_with(("rice", True), ("soup", True))
    only = slot_with(("rice", True))
    shares = [[1.0], [0.9, 0.1], [0.9, 0.1], [1.0]]
    plan = decode_plan([closed, twice, twice, only], shares, allowed_only=True)
    assert [entry["recipe_id"] for entry in plan] == ["rice", "soup", "rice"]


def test_the_grammar_permits_no_other_id_and_no_other_slot() -> None:
    grammar = llguidance.LLMatcher.grammar_from_json_schema(
        json.dumps(slot_schema("a", ["rice", "soup"])), {"whitespace_flexible": False}
    )

    def permits(text: str) -> bool:
        matcher = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), grammar)
        taken = matcher.try_consume_tokens(list(text.encode()))
        return bool(taken == len(text.encode()) and matcher.is_accepting())

    assert permits('{"slot_id":"a","recipe_id":"soup"}')
    assert not permits('{"slot_id":"a","recipe_id":"nuts"}')
    assert not permits('{"slot_id":"b","recipe_id":"soup"}')
    assert not permits('{"slot_id":"a","recipe_id":"soup","more":1}')
