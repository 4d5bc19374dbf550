"""Runs vector files with the Python client: `python3 run_vectors.py FILE…`; its last line is `N passed, M failed`.

It knows `vectors.json` (domain/assignment), `murmur3_32.json` and `conditions.json`, by their names.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trialstream_client as client

# Whether each case of a file holds, with a text that says which case it is.
Cases = Iterator[tuple[str, bool]]
Row = list[Any]


def definition_of(experiment_id: str, allocations: list[int], coverage: int, **restrictions: object) -> dict[str, Any]:
    """A running experiment as the service streams it; variants are named by their positions."""
    return {
        "experiment_id": experiment_id,
        "key": "vector",
        "status": "running",
        "serving": {"mode": "as_assigned"},
        "unit_type": "user",
        "store_required": False,
        "coverage_basis_points": coverage,
        "variants": [
            {"variant_id": str(index), "name": str(index), "allocation_basis_points": allocation, "config": {}}
            for index, allocation in enumerate(allocations)
        ],
        "targeting": None,
        "layer": None,
        "holdout": None,
        "forced_variants": {},
        "starts_at": None,
        "ends_at": None,
        **restrictions,
    }


def decide(definition: dict[str, Any], unit_id: str) -> client.Decision:
    """What a client that knows only this experiment decides."""
    with client.TrialstreamClient(definitions={"etag": "", "experiments": [definition]}) as instance:
        return instance.evaluate("vector", client.Unit("user", unit_id))


def variant_index(row: Row) -> int | None:
    """The position of the variant that a unit gets."""
    variant_id = decide(definition_of(row[0], row[2], row[3]), row[1]).variant_id
    return None if variant_id is None else int(variant_id)


def variant_index_of_bucket(row: Row) -> int | None:
    """The position of the variant that a bucket falls in."""
    experiment = client._compile_experiment(definition_of("x", row[1], row[2]))
    found = client._variant_at(experiment.variants.values(), row[0])
    return None if isinstance(found, str) else int(found.variant_id)


def is_in_layer(row: Row) -> bool:
    """Whether a unit is in a range of a layer."""
    layer = {"id": row[0], "start": row[3], "end": row[4]}
    return decide(definition_of("x", [10_000], 10_000, layer=layer), row[1]).reason != "outside-layer"


def is_held_out(row: Row) -> bool:
    """Whether a unit is in a holdout."""
    holdout = {"id": row[0], "share_basis_points": row[3]}
    return decide(definition_of("x", [10_000], 10_000, holdout=holdout), row[1]).reason == "held-out"


# The cells at the end of a row that each section expects, computed from those before them.
SECTIONS: dict[str, Callable[[Row], Row]] = {
    "hash": lambda row: [client.murmur3(row[0], row[1])],
    "bucket": lambda row: [decide(definition_of(row[0], [], 0), row[1]).hash_bucket],
    "variant": lambda row: [variant_index(row)],
    "variantOfBucket": lambda row: [variant_index_of_bucket(row)],
    "layer": lambda row: [client.bucket_of(f"layer:{row[0]}", row[1]), row[3], row[4], is_in_layer(row)],
    "holdout": lambda row: [client.bucket_of(f"holdout:{row[0]}", row[1]), row[3], is_held_out(row)],
    "id": lambda row: [client.id_of_name(row[0])],
}


def run_assignment(content: Any) -> Cases:
    """domain/assignment/vectors.json."""
    yield f"specVersion {content['specVersion']}", content["specVersion"] == 1
    for name, answer in SECTIONS.items():
        for number, row in enumerate(content[name]["rows"], 1):
            actual = answer(row)
            expected = row[-len(actual) :]
            yield f"{name} row {number}: expected {expected}, got {actual}", actual == expected


def run_hashes(content: Any) -> Cases:
    """Rows of seed, key, hash and, where there is one, bucket of 100."""
    for group, rows in content["rows"].items():
        for number, (seed, key, expected, *bucket) in enumerate(rows, 1):
            actual = client.murmur3(key, seed)
            yield f"{group} row {number}", [actual, *([actual % 100 + 1] if bucket else [])] == [expected, *bucket]


def run_conditions(content: Any) -> Cases:
    """Rows of name, condition, attributes, expected and, where there are any, saved groups."""
    for name, condition, attributes, expected, *groups in content:
        holds = client.compile_condition(condition, *groups)
        yield name, holds(attributes) is expected


KINDS: dict[str, Callable[[Any], Cases]] = {
    "vectors.json": run_assignment,
    "murmur3_32.json": run_hashes,
    "conditions.json": run_conditions,
}


def main() -> int:
    """Run the files and print what passed."""
    passed = failed = 0
    for path in map(Path, sys.argv[1:]):
        cases = list(KINDS[path.name](json.loads(path.read_text(encoding="utf-8"))))
        wrong = [name for name, holds in cases if not holds]
        print(f"{path}: {len(cases) - len(wrong)} passed, {len(wrong)} failed")
        for name in wrong[:20]:
            print(f"  failed: {name}")
        passed += len(cases) - len(wrong)
        failed += len(wrong)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
