"""Reads a dataset: its manifest and the examples of its splits, from a folder, from S3, or by its version."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from planner_model.errors import TrainingError
from planner_model.examples import Example, to_example
from planner_model.object_store import open_object_store

SCHEMA_VERSION = 2
SPLIT_FILES = {"training": "training.parquet", "validation": "validation.parquet", "test": "test.parquet"}
COLUMNS = ["plan_id", "household_id", "model_input", "final_plan", "edited_slots", "action_propensities"]
VERSION_LENGTH = 64

ReadFile = Callable[[str], bytes]


@dataclass(frozen=True)
class Dataset:
    """A dataset by its version; `read` gives the bytes of a file beside its manifest."""

    version: str
    location: str
    manifest: dict[str, Any]
    read: ReadFile

    def examples(self, split: str) -> list[Example]:
        """The examples of a split, in the order of the file. Raises TrainingError when a column is missing."""
        table = pq.read_table(pa.BufferReader(self.read(SPLIT_FILES[split])))
        missing = [name for name in COLUMNS if name not in table.column_names]
        if missing:
            raise TrainingError(f"{self.location}/{SPLIT_FILES[split]} has no column {', '.join(missing)}")
        return [to_example(row) for row in table.select(COLUMNS).to_pylist()]


def open_dataset(reference: str, find_by_version: Callable[[str], str | None]) -> Dataset:
    """Opens a dataset by folder, file, s3:// address or version.

    `find_by_version` gives the s3:// address of a version, or None. Raises TrainingError with what is wrong.
    """
    location, read = _locate(reference, find_by_version)
    try:
        manifest = json.loads(read("manifest.json"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"there is no dataset at {location}: its manifest.json cannot be read ({error})") from error
    found = manifest.get("schema_version")
    if found != SCHEMA_VERSION:
        raise TrainingError(
            f"the dataset at {location} has schema version {found}, and this release reads {SCHEMA_VERSION}: "
            "build it again"
        )
    return Dataset(manifest["dataset_version"], location, manifest, read)


def _locate(reference: str, find_by_version: Callable[[str], str | None]) -> tuple[str, ReadFile]:
    if reference.startswith("s3://"):
        return _in_object_store(reference)
    path = Path(reference)
    if path.exists():
        folder = path if path.is_dir() else path.parent
        return str(folder), lambda name: (folder / name).read_bytes()
    if len(reference) == VERSION_LENGTH and all(character in "0123456789abcdef" for character in reference):
        found = find_by_version(reference)
        if found is None:
            raise TrainingError(
                f"MLflow knows no dataset version {reference}: build it first, or give its s3:// address"
            )
        return _in_object_store(found)
    raise TrainingError(f"{reference} is no folder, no s3:// address and no dataset version (64 hex digits)")


def _in_object_store(address: str) -> tuple[str, ReadFile]:
    folder = address.removesuffix("/")
    if folder.rpartition("/")[2] in (*SPLIT_FILES.values(), "manifest.json"):
        folder = folder.rpartition("/")[0]
    key = folder.removeprefix("s3://")
    store = open_object_store()

    def read(name: str) -> bytes:
        with store.open_input_stream(f"{key}/{name}") as stream:
            data: bytes = stream.read()
            return data

    return folder, read
