"""Tests of fitting: the loss by hand, learning a rule, resuming exactly, accumulation and early stopping."""

import copy
import math

import pytest
import torch

from planner_model.adapters import add_adapter
from planner_model.base_models import TINY, choose_device
from planner_model.candidate_scores import score_plans
from planner_model.examples import to_example
from planner_model.fitting import FitOptions, FitState, fit, household_targets, listwise_loss, logged_targets, schedule
from planner_model.packing import pack_examples
from planner_model.tiny_model import create_tiny_model, create_tiny_tokenizer
from planner_model.tokens import create_token_reader
from tests.samples import sample_row

TRAINING = [to_example(sample_row(number)) for number in range(48)]
VALIDATION = [to_example(sample_row(number)) for number in range(48, 64)]
READER = create_token_reader(create_tiny_tokenizer(TRAINING))


def tiny() -> torch.nn.Module:
    """On the GPU where there is one."""
    model: torch.nn.Module = create_tiny_model(len(READER.tokenizer), 1).to(choose_device(TINY).device)
    return model


def options_with(**change: float) -> FitOptions:
    values = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 8, "accumulation": 1, "seed": 1, "edited_weight": 2.0}
    return FitOptions(**{**values, "patience": 9, **change})  # type: ignore[arg-type]


def test_the_loss_counts_edited_slots_by_their_weight() -> None:
    slots = list(TRAINING[0].slots)
    scores = torch.zeros(2, 4)
    scores[0, slots[0].target or 0] = math.log(3)
    edited, kept = math.log(6 / 3), math.log(4)
    loss = listwise_loss(scores, slots, household_targets, 2.0)
    assert float(loss) == pytest.approx((2 * edited + kept) / 3, abs=1e-5)
    logged = listwise_loss(torch.zeros(2, 4), slots, logged_targets, 1.0)
    assert float(logged) == pytest.approx(math.log(4), abs=1e-5)


def test_learns_what_households_take_and_not_what_breaks_a_rule() -> None:
    model = tiny()
    state = fit(model, READER, (TRAINING, VALIDATION), options_with(epochs=12), household_targets)
    assert state.results[-1].offline_score > 0.9
    assert state.results[-1].validation_loss < state.results[0].validation_loss


def adapted(*, recompute: bool = False, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    base = tiny().to(dtype)
    torch.manual_seed(5)
    model: torch.nn.Module = add_adapter(base, rank=4, dropout=0.1, recompute=recompute)
    return model


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def test_a_run_that_is_resumed_ends_like_one_that_was_not_stopped() -> None:
    whole = adapted()
    fit(whole, READER, (TRAINING, VALIDATION), options_with(), household_targets)

    saved: list[tuple[FitState, dict[str, torch.Tensor]]] = []
    stopped = adapted()
    fit(
        stopped,
        READER,
        (TRAINING, VALIDATION),
        options_with(),
        household_targets,
        on_epoch=lambda state: saved.append((copy.deepcopy(state), weights_of(stopped))),
    )
    state, weights = saved[0]
    resumed = adapted()
    resumed.load_state_dict(weights, strict=False)
    fit(resumed, READER, (TRAINING, VALIDATION), options_with(), household_targets, state=state)
    for name, value in weights_of(whole).items():
        assert torch.allclose(value, weights_of(resumed)[name], atol=1e-6), name


def test_two_small_batches_together_make_one_step() -> None:
    steps: list[int] = []
    for batch_size, accumulation in ((8, 1), (4, 2)):
        model = adapted()
        options = options_with(epochs=1, batch_size=batch_size, accumulation=accumulation)
        steps.append(fit(model, READER, (TRAINING, VALIDATION), options, household_targets).step)
    assert steps == [6, 6]


def test_stops_when_the_validation_loss_no_longer_falls() -> None:
    model = tiny()
    options = options_with(epochs=50, learning_rate=0.0, patience=2)
    state = fit(model, READER, (TRAINING, VALIDATION), options, household_targets)
    assert state.epoch < 50
    assert state.epoch - state.best_epoch == 3


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [schedule(step, 100, 20) for step in range(100)]
    assert rates[0] < rates[10] < rates[19]
    assert rates[-1] == pytest.approx(0.02, abs=0.01)


def test_layers_that_are_computed_again_give_the_same_model() -> None:
    kept, computed_again = adapted(), adapted(recompute=True)
    for model in (kept, computed_again):
        fit(model, READER, (TRAINING, VALIDATION), options_with(epochs=1), household_targets)
    for name, value in weights_of(kept).items():
        assert torch.allclose(value, weights_of(computed_again)[name], atol=1e-6), name


def test_a_base_in_16_bits_learns_in_32() -> None:
    model = adapted(dtype=torch.bfloat16)
    assert {value.dtype for value in weights_of(model).values()} == {torch.float32}
    state = fit(model, READER, (TRAINING, VALIDATION), options_with(epochs=3), household_targets)
    assert state.results[-1].validation_loss < state.results[0].validation_loss
    with torch.no_grad():
        scores = score_plans(model.eval(), pack_examples(VALIDATION, READER), READER)
    # 16 bits would leave many candidates with the very same score.
    assert scores.dtype == torch.float32
    assert len(set(scores[0].tolist())) == len(scores[0])
