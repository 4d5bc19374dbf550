"""Packs a plan into one sequence: the household first, then every candidate as a branch that sees it and itself.

No candidate sees another, so their order means nothing, one pass scores a whole plan, and the score of a candidate is
what the model would say if it were asked about this candidate alone (a test compares both).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from planner_model.examples import Example, Slot
from planner_model.tokens import TokenReader


@dataclass(frozen=True)
class PackedPlan:
    """Token ids, positions and branches of one plan; `ends` holds, per slot, the last token of each candidate."""

    ids: list[int]
    positions: list[int]
    branches: list[int]
    ends: list[list[int]]


def pack_plan(context: str, slots: Sequence[Slot], reader: TokenReader) -> PackedPlan:
    """Branch 0 is the household; every candidate of every slot has a branch of its own."""
    ids = reader.context(context)
    start = len(ids)
    positions = list(range(start))
    branches = [0] * start
    ends: list[list[int]] = []
    branch = 0
    for slot in slots:
        slot_ends = []
        for candidate in slot.candidates:
            branch += 1
            tokens = reader.candidate(candidate.text)
            ids += tokens
            positions += range(start, start + len(tokens))
            branches += [branch] * len(tokens)
            slot_ends.append(len(ids) - 1)
        ends.append(slot_ends)
    return PackedPlan(ids, positions, branches, ends)


@dataclass(frozen=True)
class PackedBatch:
    """Tensors of several plans, padded at the end; `mask` (plans, 1, length, length) is true where a token may look."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor


def to_batch(plans: Sequence[PackedPlan], device: torch.device) -> PackedBatch:
    """Pads with token 0, which no token of a plan looks at."""
    length = max(len(plan.ids) for plan in plans)
    ids = torch.zeros(len(plans), length, dtype=torch.long)
    positions = torch.zeros(len(plans), length, dtype=torch.long)
    mask = torch.zeros(len(plans), 1, length, length, dtype=torch.bool)
    for index, plan in enumerate(plans):
        size = len(plan.ids)
        ids[index, :size] = torch.tensor(plan.ids)
        positions[index, :size] = torch.tensor(plan.positions)
        branches = torch.tensor(plan.branches)
        visible = (branches[None, :] == 0) | (branches[:, None] == branches[None, :])
        mask[index, 0, :size, :size] = visible.tril()
        # A row of the mask that is false everywhere would give no number.
        mask[index, 0, size:, 0] = True
    return PackedBatch(ids.to(device), positions.to(device), mask.to(device))


def pack_examples(examples: Sequence[Example], reader: TokenReader) -> list[PackedPlan]:
    """One packed plan for each example."""
    return [pack_plan(example.context, example.slots, reader) for example in examples]
