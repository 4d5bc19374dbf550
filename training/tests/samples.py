"""Small examples and dataset folders for tests. The answer of a slot follows from a rule that a model can learn."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from planner_model.dataset import SCHEMA_VERSION, SPLIT_FILES

DATASET_VERSION = "ab" * 32
REGIONS = ["asia", "north"]
FACETS = ["rice", "potato", "soup", "pasta"]


def sample_row(number: int) -> dict[str, Any]:
    """One plan of two slots: households of asia take rice, the others potato; broken candidates are never taken."""
    draw = random.Random(number)
    region = REGIONS[number % 2]
    wanted = "rice" if region == "asia" else "potato"
    slots, final, choices = [], [], []
    for index in range(2):
        facets = draw.sample(FACETS, 4)
        slot_id = f"2026-01-0{index + 5}/dinner"
        candidates = [
            {
                "recipe_id": f"{facet}-dish",
                "text": f"{'breaks' if facet == 'soup' else 'fit:3'} {facet} {facet}-dish",
                "allowed": facet != "soup",
            }
            for facet in facets
        ]
        slots.append({"slot_id": slot_id, "candidates": candidates})
        final.append({"slot_id": slot_id, "recipe_id": f"{wanted}-dish"})
        shares = [0.0 if facet == "soup" else 1 / 3 for facet in facets]
        choices.append({"slot_id": slot_id, "propensities": shares})
    return {
        "plan_id": f"plan-{number}",
        "household_id": f"household-{number}",
        "model_input": json.dumps({"model_input_version": 1, "context": f"region:{region}", "slots": slots}),
        "final_plan": json.dumps({"plan_version": 1, "slots": final}),
        "edited_slots": json.dumps([slots[0]["slot_id"]]),
        "action_propensities": json.dumps(choices),
    }


def write_dataset(
    folder: Path, *, training: int = 48, validation: int = 12, schema_version: int = SCHEMA_VERSION
) -> Path:
    """A dataset folder with this many plans in its splits."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"training": training, "validation": validation, "test": 4}
    number = 0
    for split, count in counts.items():
        rows = [sample_row(number + index) for index in range(count)]
        number += count
        columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in sample_row(0)}
        pq.write_table(pa.table(columns), folder / SPLIT_FILES[split])
    manifest = {"schema_version": schema_version, "dataset_version": DATASET_VERSION}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder
