"""Tests of examples: what is read from a row, and that shuffled answers say nothing."""

import pytest

from planner_model.errors import TrainingError
from planner_model.examples import parse_model_input, shuffle_targets, to_example
from tests.samples import sample_row


def test_reads_candidates_answers_edits_and_propensities_of_a_row() -> None:
    example = to_example(sample_row(0))
    first, second = example.slots
    assert example.context == "region:asia"
    assert [slot.candidates[slot.target or 0].recipe_id for slot in (first, second)] == ["rice-dish", "rice-dish"]
    assert (first.is_edited, second.is_edited) == (True, False)
    assert first.propensities is not None and sum(first.propensities) == pytest.approx(1)
    assert [candidate.allowed for candidate in first.candidates].count(False) == 1


def test_an_answer_that_was_not_on_offer_is_no_target() -> None:
    row = {**sample_row(0), "final_plan": None, "edited_slots": None}
    assert [slot.target for slot in to_example(row).slots] == [None, None]


def test_refuses_a_model_input_of_another_version() -> None:
    with pytest.raises(TrainingError, match="has version 2, and this release reads version 1"):
        parse_model_input({"model_input_version": 2})


def test_shuffled_answers_keep_their_positions_and_lose_their_meaning() -> None:
    examples = [to_example(sample_row(number)) for number in range(200)]
    shuffled = shuffle_targets(examples, 1)

    def share_of_wanted(some: list) -> float:  # type: ignore[type-arg]
        slots = [slot for example in some for slot in example.slots]
        wanted = [slot.candidates[slot.target].recipe_id in ("rice-dish", "potato-dish") for slot in slots]
        return sum(wanted) / len(wanted)

    assert share_of_wanted(examples) == 1
    assert share_of_wanted(shuffled) == pytest.approx(0.5, abs=0.1)
    assert shuffled == shuffle_targets(examples, 1)
    assert shuffled != shuffle_targets(examples, 2)
