"""Tests that a packed plan means the same as its candidates asked one by one, and that their order means nothing."""

import torch

from planner_model.base_models import TINY, choose_device
from planner_model.candidate_scores import NO_CANDIDATE, score_plans
from planner_model.examples import Slot, to_example
from planner_model.packing import pack_plan
from planner_model.tiny_model import create_tiny_model, create_tiny_tokenizer
from planner_model.tokens import create_token_reader
from tests.samples import sample_row

EXAMPLES = [to_example(sample_row(number)) for number in range(3)]
READER = create_token_reader(create_tiny_tokenizer(EXAMPLES))
DEVICE = choose_device(TINY).device
MODEL = create_tiny_model(len(READER.tokenizer), 1).eval().to(DEVICE)


def scores_of(context: str, slots: list[Slot]) -> torch.Tensor:
    with torch.no_grad():
        return score_plans(MODEL, [pack_plan(context, slots, READER)], READER)


def test_the_score_of_a_candidate_is_what_the_model_says_of_it_alone() -> None:
    example = EXAMPLES[0]
    packed = scores_of(example.context, list(example.slots))
    for slot, row in zip(example.slots, packed, strict=True):
        for candidate, score in zip(slot.candidates, row, strict=True):
            ids = torch.tensor([READER.context(example.context) + READER.candidate(candidate.text)], device=DEVICE)
            with torch.no_grad():
                logits = MODEL(input_ids=ids).logits[0, -1]
            assert torch.isclose(score, logits[READER.yes_id] - logits[READER.no_id], atol=1e-5)


def test_the_order_of_candidates_and_the_rest_of_the_plan_and_batch_mean_nothing() -> None:
    example = EXAMPLES[0]
    whole = scores_of(example.context, list(example.slots))
    slot = example.slots[1]
    reversed_slot = Slot(slot.slot_id, slot.candidates[::-1])
    assert torch.allclose(scores_of(example.context, [reversed_slot])[0].flip(0), whole[1], atol=1e-5)
    plans = [pack_plan(e.context, e.slots, READER) for e in EXAMPLES]
    with torch.no_grad():
        assert torch.allclose(score_plans(MODEL, plans, READER)[:2], whole, atol=1e-5)


def test_a_slot_with_fewer_candidates_is_filled_up_with_impossible_ones() -> None:
    example = EXAMPLES[0]
    short = Slot("short", example.slots[0].candidates[:2])
    scores = scores_of(example.context, [example.slots[0], short])
    assert scores.shape == (2, 4)
    assert scores[1, 2:].tolist() == [NO_CANDIDATE, NO_CANDIDATE]
