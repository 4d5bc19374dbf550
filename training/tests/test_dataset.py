"""Tests of opening datasets: what is read, and one sentence for what cannot be."""

from pathlib import Path

import pytest

from planner_model.dataset import open_dataset
from planner_model.errors import TrainingError
from tests.samples import DATASET_VERSION, write_dataset


def unknown(_version: str) -> None:
    return None


def test_opens_a_folder_or_a_file_in_it(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "dataset")
    for reference in (folder, folder / "training.parquet"):
        dataset = open_dataset(str(reference), unknown)
        assert dataset.version == DATASET_VERSION
        assert [len(dataset.examples(split)) for split in ("training", "validation", "test")] == [48, 12, 4]


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("no-such-folder", "is no folder, no s3:// address and no dataset version"),
        ("cd" * 32, "MLflow knows no dataset version"),
    ],
)
def test_says_what_a_reference_should_be(reference: str, sentence: str) -> None:
    with pytest.raises(TrainingError, match=sentence):
        open_dataset(reference, unknown)


def test_names_the_settings_that_the_object_store_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_REGION", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrainingError, match="S3_REGION, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY is not set"):
        open_dataset("s3://bucket/datasets/planner/2026-01-05", unknown)


def test_refuses_another_schema_and_a_file_without_a_column(tmp_path: Path) -> None:
    old = write_dataset(tmp_path / "old", schema_version=1)
    with pytest.raises(TrainingError, match="has schema version 1, and this release reads 2: build it again"):
        open_dataset(str(old), unknown)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(TrainingError, match=r"its manifest\.json cannot be read"):
        open_dataset(str(empty), unknown)
    import pyarrow as pa
    import pyarrow.parquet as pq

    broken = write_dataset(tmp_path / "broken")
    pq.write_table(pa.table({"plan_id": ["a"]}), broken / "training.parquet")
    with pytest.raises(TrainingError, match="has no column household_id, model_input"):
        open_dataset(str(broken), unknown).examples("training")
