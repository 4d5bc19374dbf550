"""Makes vectors.json: expected buckets, variants, layers, holdouts and ids, computed independently of the TypeScript code.

Run `python3 domain/assignment/make_vectors.py` to write the file, with `--check` to compare it with the committed one.
Standard library only. A change of any expected value is a change of the hash specification: raise SPEC_VERSION.
"""

import json
import re
import sys
import uuid
from pathlib import Path

SPEC_VERSION = 1
NAMESPACE = uuid.UUID("31d7f979-76fe-4792-b148-503e3994e68b")
BUCKET_COUNT = 10_000
MASK = 0xFFFFFFFF
TARGET = Path(__file__).with_name("vectors.json")


def utf8(text: str) -> bytes:
    """UTF-8 bytes without normalization; a lone surrogate counts as U+FFFD, as browsers' encoders write it."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text).encode("utf-8")


def rotate_left(value: int, count: int) -> int:
    return ((value << count) | (value >> (32 - count))) & MASK


def scramble(block: int) -> int:
    return rotate_left(block * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK


def murmur3_x86_32(data: bytes, seed: int = 0) -> int:
    state = seed & MASK
    whole = len(data) - len(data) % 4
    for position in range(0, whole, 4):
        state ^= scramble(int.from_bytes(data[position : position + 4], "little"))
        state = (rotate_left(state, 13) * 5 + 0xE6546B64) & MASK
    state ^= scramble(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    state = (state ^ (state >> 16)) * 0x85EBCA6B & MASK
    state = (state ^ (state >> 13)) * 0xC2B2AE35 & MASK
    return state ^ (state >> 16)


def bucket_of(salt: str, unit_id: str) -> int:
    return murmur3_x86_32(utf8(f"{salt}:{unit_id}")) % BUCKET_COUNT


def variant_index(bucket: int, allocations: list[int], coverage: int) -> int | None:
    """Position of the variant that owns a bucket, or None; all shares are basis points."""
    start = 0
    for index, allocation in enumerate(allocations):
        if start <= bucket < start + coverage * allocation // 10_000:
            return index
        start += allocation
    return None


def experiment_id(key: str, iteration: int) -> str:
    return str(uuid.uuid5(NAMESPACE, f"experiment/{key}/{iteration}"))


UNIT_IDS = [
    "",
    "0",
    "u1",
    "user-1",
    "user-2",
    "user-12345",
    "550e8400-e29b-41d4-a716-446655440000",
    "a:b:c",
    " leading and trailing ",
    "tab\there",
    "nul\u0000inside",
    "jos\u00e9",
    "jose\u0301",
    "Stra\u00dfe",
    "\u041f\u0440\u0438\u0432\u0435\u0442",
    "\u65e5\u672c\u8a9e\u306e\u30e6\u30fc\u30b6\u30fc",
    "\u0645\u0633\u062a\u062e\u062f\u0645",
    "\u20ac100",
    "\U0001f600",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U00010348\U0010ffff",
    "\uffff\ufeff",
    "x" * 255,
    "\u00fc" * 120,
    "0123456789" * 100,
]

EXPERIMENT_KEYS = [("checkout-button", 1), ("checkout-button", 2), ("planner-model", 1), ("caf\u00e9-men\u00fc", 7)]

ALLOCATIONS = [
    [5000, 5000],
    [3333, 3333, 3334],
    [9000, 1000],
    [1000, 1500, 2500],
    [0, 10000],
    [1, 9999],
]

COVERAGES = [0, 1, 100, 1000, 2500, 3333, 5000, 9999, 10000]


def make() -> dict:
    experiments = [(key, iteration, experiment_id(key, iteration)) for key, iteration in EXPERIMENT_KEYS]
    variant_units = UNIT_IDS[1:12] + UNIT_IDS[14:20] + [f"unit-{number}" for number in range(20)]
    first_id = experiments[0][2]
    return {
        "specVersion": SPEC_VERSION,
        "description": "bucket = murmur3_x86_32(utf8(salt + ':' + unit_id), seed 0, unsigned) mod 10000; "
        "text is UTF-8 without normalization, a lone surrogate counts as U+FFFD; shares are basis points; "
        "made by domain/assignment/make_vectors.py",
        "idNamespace": str(NAMESPACE),
        "hash": {
            "columns": ["text", "seed", "hash"],
            "rows": [[text, seed, murmur3_x86_32(utf8(text), seed)] for text in UNIT_IDS for seed in (0, 1, MASK)],
        },
        "bucket": {
            "columns": ["experiment_id", "unit_id", "bucket"],
            "rows": [
                [identifier, unit, bucket_of(identifier, unit)]
                for identifier in [*(row[2] for row in experiments), "not-a-uuid-\u00e9"]
                for unit in UNIT_IDS
            ],
        },
        "variant": {
            "columns": ["experiment_id", "unit_id", "allocations", "coverage", "variant_index"],
            "rows": [
                [first_id, unit, allocations, coverage, variant_index(bucket_of(first_id, unit), allocations, coverage)]
                for allocations in ALLOCATIONS
                for coverage in COVERAGES
                for unit in variant_units
            ],
        },
        "variantOfBucket": {
            "columns": ["bucket", "allocations", "coverage", "variant_index"],
            "rows": [
                [bucket, allocations, coverage, variant_index(bucket, allocations, coverage)]
                for allocations in ALLOCATIONS
                for coverage in COVERAGES
                for bucket in edges(allocations, coverage)
            ],
        },
        "layer": {
            "columns": ["layer_id", "unit_id", "bucket", "start", "end", "is_in_range"],
            "rows": [
                [layer, unit, bucket, start, end, start <= bucket < end]
                for layer in ("checkout", "men\u00fa")
                for unit in UNIT_IDS
                for bucket in [bucket_of(f"layer:{layer}", unit)]
                for start, end in ((0, 5000), (5000, 10000), (bucket, bucket + 1))
            ],
        },
        "holdout": {
            "columns": ["holdout_id", "unit_id", "bucket", "share", "is_held_out"],
            "rows": [
                [holdout, unit, bucket, share, bucket < share]
                for holdout in ("global-2026", "\u5168\u4f53")
                for unit in UNIT_IDS
                for bucket in [bucket_of(f"holdout:{holdout}", unit)]
                for share in (0, 500, bucket, 10000)
            ],
        },
        "id": {
            "columns": ["name", "uuid"],
            "rows": [[name, str(uuid.uuid5(NAMESPACE, name))] for name in id_names(experiments)],
        },
    }


def edges(allocations: list[int], coverage: int) -> list[int]:
    """Buckets at and beside every boundary."""
    buckets = {0, BUCKET_COUNT - 1}
    start = 0
    for allocation in allocations:
        for boundary in (start, start + coverage * allocation // 10_000):
            buckets |= {boundary - 1, boundary}
        start += allocation
    return sorted(bucket for bucket in buckets if 0 <= bucket < BUCKET_COUNT)


def id_names(experiments: list[tuple[str, int, str]]) -> list[str]:
    names = [f"experiment/{key}/{iteration}" for key, iteration, _ in experiments]
    names += [f"variant/{identifier}/{name}" for _, _, identifier in experiments for name in ("control", "tr\u00e4gt")]
    names += [f"policy/{name}" for name in ("planner-rules", "planner-lora")]
    names += [f"policy-version/{name}@{version}" for name in ("planner-rules", "planner-lora") for version in (1, 12)]
    return names


def render(vectors: dict) -> str:
    """One row per line, ASCII only, so that differences are readable and no editor can change an id."""
    sections = []
    for name, value in vectors.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"      {json.dumps(row)}" for row in value["rows"])
            text = f'{{\n    "columns": {json.dumps(value["columns"])},\n    "rows": [\n{rows}\n    ]\n  }}'
        else:
            text = json.dumps(value)
        sections.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def main() -> int:
    rendered = render(make())
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(rendered, encoding="ascii")
        return 0
    if TARGET.read_text(encoding="ascii") == rendered:
        return 0
    print(f"{TARGET.name} differs from what {Path(__file__).name} makes", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
