"""Scores of candidates: how much more the model says yes than no after each of them."""

from collections.abc import Sequence
from typing import Any

import torch

from planner_model.packing import PackedPlan, to_batch
from planner_model.tokens import TokenReader

NO_CANDIDATE = -1e9


def score_plans(model: Any, plans: Sequence[PackedPlan], reader: TokenReader) -> torch.Tensor:
    """Scores (slots of all plans, most candidates of a slot); where a slot has fewer candidates, NO_CANDIDATE.

    The softmax of a row is the probability of each candidate of the slot.
    """
    batch = to_batch(plans, model.device)
    dtype = model.get_input_embeddings().weight.dtype
    blocked = torch.zeros(batch.mask.shape, dtype=dtype, device=batch.mask.device)
    blocked.masked_fill_(~batch.mask, torch.finfo(dtype).min)
    body = _without_head(model)
    # Adapters are held in 32 bits, so that small steps are not lost, and computed with in the 16 of the base.
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        hidden = body(input_ids=batch.ids, position_ids=batch.positions, attention_mask=blocked, use_cache=False)
    ends = [(index, slot_ends) for index, plan in enumerate(plans) for slot_ends in plan.ends]
    widest = max((len(slot_ends) for _, slot_ends in ends), default=0)
    rows = torch.tensor([index for index, _ in ends], device=model.device)
    columns = torch.tensor([slot_ends + [0] * (widest - len(slot_ends)) for _, slot_ends in ends], device=model.device)
    counts = torch.tensor([len(slot_ends) for _, slot_ends in ends], device=model.device)
    states = hidden.last_hidden_state[rows[:, None], columns]
    head = model.get_output_embeddings().weight
    # In 32 bits: yes and no are near each other, and in 16 bits many candidates would get the same score.
    scores = states.float() @ (head[reader.yes_id].float() - head[reader.no_id].float())
    missing = torch.arange(widest, device=model.device)[None, :] >= counts[:, None]
    masked: torch.Tensor = scores.masked_fill(missing, NO_CANDIDATE)
    return masked


def _without_head(model: Any) -> Any:
    """The layers below the output, with their adapters: the output of the whole vocabulary is not needed."""
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    return whole.get_decoder() if hasattr(whole, "get_decoder") else whole.model
