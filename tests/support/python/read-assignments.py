"""Reads the printed records of the assignments topic as a client without any code of ours: folded per key, values decoded."""

import io
import json
import re
import sys
import urllib.request

import fastavro

ESCAPE = re.compile(rb"\\x([0-9A-F]{2})")


def unescape(text: str) -> bytes:
    """Undo the printable form in which Kafka's console consumer shows bytes."""
    return ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.encode("ascii"))


def main() -> None:
    """Take {registry, lines} as JSON on stdin; print the last value of every key, and the subjects' schema ids that were used."""
    request = json.load(sys.stdin)
    schemas: dict[int, object] = {}
    folded: dict[str, dict] = {}
    positions: dict[int, int] = {}
    for line in request["lines"]:
        partition, offset, key, value = line.split("\t")
        place, position = int(partition.removeprefix("Partition:")), int(offset.removeprefix("Offset:"))
        if position <= positions.get(place, -1):
            raise ValueError(f"offset {position} of partition {place} came after {positions[place]}")
        positions[place] = position
        raw = unescape(value)
        if raw[0] != 0:
            raise ValueError(f"no magic byte at offset {position} of partition {place}")
        schema_id = int.from_bytes(raw[1:5], "big")
        if schema_id not in schemas:
            with urllib.request.urlopen(f"{request['registry']}/schemas/ids/{schema_id}") as answer:
                schemas[schema_id] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        body = io.BytesIO(raw[5:])
        record = fastavro.schemaless_reader(body, schemas[schema_id])
        if body.read(1):
            raise ValueError(f"bytes after the record at offset {position} of partition {place}")
        record["assigned_at"] = record["assigned_at"].isoformat(timespec="milliseconds")
        record["partition"] = place
        folded[unescape(key).decode("utf-8")] = record
    json.dump({"folded": folded, "schemas": sorted(schemas)}, sys.stdout)


main()
