"""Whole training runs on a real MLflow server: what is registered, and what fails in one sentence, leaving nothing."""

import json
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from planner_model.checkpoint import save_checkpoint
from planner_model.errors import TrainingError
from planner_model.options import TrainingOptions, parse_options
from planner_model.scoring import load_model, score_lines
from planner_model.tracking import Tracking
from planner_model.training_run import train
from tests.samples import DATASET_VERSION, sample_row, write_dataset

MLFLOW_URL = os.environ["MLFLOW_URL"]
CLIENT = MlflowClient(tracking_uri=MLFLOW_URL)


@pytest.fixture
def options(tmp_path: Path) -> TrainingOptions:
    dataset = write_dataset(tmp_path / "dataset")
    name = f"training-test-{uuid.uuid4().hex[:8]}"
    arguments = ["--dataset", str(dataset), "--model", "tiny", "--epochs", "2", "--output", str(tmp_path / "run")]
    return parse_options([*arguments, "--model-name", name, "--mlflow-url", MLFLOW_URL, "--policy-id", "test-policy"])


def versions_of(options: TrainingOptions) -> list[str]:
    return [str(found.version) for found in CLIENT.search_model_versions(f"name = '{options.model_name}'")]


def test_trains_registers_and_generates(options: TrainingOptions, capsys: pytest.CaptureFixture[str]) -> None:
    train(options)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["version"], printed["already_existed"], printed["epochs"]) == (1, False, 2)
    run = CLIENT.get_run(printed["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["dataset_version"] == DATASET_VERSION
    assert {name: run.data.params[name] for name in ("base_model", "epochs", "lora_rank", "batch_size")} == {
        "base_model": "tiny",
        "epochs": "2",
        "lora_rank": "16",
        "batch_size": "8",
    }
    assert float(run.data.params["learning_rate"]) > 0
    for tags in (run.data.tags, CLIENT.get_model_version(options.model_name, "1").tags):
        assert tags["policy_id"] == "test-policy"
        assert tags["dataset_version"] == DATASET_VERSION
        assert (tags["task"], tags["stage"]) == ("meal-planning", "trained")
    assert run.inputs is not None
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == [DATASET_VERSION[:36]]
    assert len(CLIENT.get_metric_history(run.info.run_id, "train_loss")) == 12
    assert len(CLIENT.get_metric_history(run.info.run_id, "train_validation_loss")) == 2
    assert 0 <= run.data.metrics["offline_score"] <= 1
    files = {entry.path for entry in CLIENT.list_artifacts(run.info.run_id, "model")}
    assert files == {f"model/{name}" for name in ("adapter", "base", "tokenizer", "planner_model.json")}

    planner = load_model(f"{options.model_name}/1", MLFLOW_URL)
    request = {"id": "a", "input": json.loads(sample_row(1)["model_input"])}
    (line,) = score_lines(planner, [json.dumps(request)])
    answer = json.loads(line)
    assert answer["id"] == "a"
    assert [sum(slot["probabilities"]) for slot in answer["slots"]] == pytest.approx([1, 1])
    assert [entry["recipe_id"] == "soup-dish" for entry in answer["plan"]] == [False, False]
    with pytest.raises(TrainingError, match="line 1 of the input is no request"):
        list(score_lines(planner, ["{}"]))

    # The same key again: the version is found, and nothing is trained.
    keyed = replace(options, training_key="key-1", output=options.output.with_name("keyed"))
    train(keyed)
    train(keyed)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["already_existed"] is True
    assert sorted(versions_of(options)) == ["1", "2"]


def test_the_same_seed_gives_the_same_model_and_a_stopped_run_goes_on(
    options: TrainingOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(options)
    whole = json.loads(capsys.readouterr().out)

    def stop_after_first(*arguments: object) -> None:
        save_checkpoint(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    stopped = replace(options, output=options.output.with_name("stopped"))
    monkeypatch.setattr("planner_model.training_run.save_checkpoint", stop_after_first)
    with pytest.raises(KeyboardInterrupt):
        train(stopped)
    monkeypatch.setattr("planner_model.training_run.save_checkpoint", save_checkpoint)
    assert versions_of(options) == ["1"]
    with pytest.raises(TrainingError, match="was started with another lora_rank: resume it unchanged"):
        train(replace(stopped, resume=True, lora_rank=4))
    train(replace(stopped, resume=True))
    resumed = json.loads(capsys.readouterr().out)
    assert resumed["validation_loss"] == pytest.approx(whole["validation_loss"], abs=1e-6)
    with pytest.raises(TrainingError, match="there is nothing to resume"):
        train(replace(options, resume=True, output=options.output.with_name("nothing")))


def test_qlora_trains_on_a_base_in_four_bits(options: TrainingOptions, capsys: pytest.CaptureFixture[str]) -> None:
    train(replace(options, qlora=True, epochs=1))
    version = json.loads(capsys.readouterr().out)["version"]
    planner = load_model(f"{options.model_name}/{version}", MLFLOW_URL)
    assert planner.card.four_bit
    assert any(type(module).__name__ == "Linear4bit" for module in planner.model.modules())


Change = Callable[[TrainingOptions, Path], TrainingOptions]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda o, p: replace(o, mlflow_url="http://127.0.0.1:9"),
            "MLflow at http://127.0.0.1:9 cannot be used: it does not answer$",
        ),
        (lambda o, p: replace(o, dataset=str(write_dataset(p / "old", schema_version=1))), "has schema version 1"),
        (lambda o, p: replace(o, dataset=str(write_dataset(p / "none", training=0))), "nothing to learn from"),
        (lambda o, p: replace(o, model=str(p)), "is no model that can be loaded"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence_and_registers_nothing(
    options: TrainingOptions, tmp_path: Path, change: Change, sentence: str
) -> None:
    with pytest.raises(TrainingError, match=sentence):
        train(change(options, tmp_path))
    assert versions_of(options) == []
    experiment = CLIENT.get_experiment_by_name("planner-training")
    assert experiment is not None
    running = CLIENT.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    assert [run for run in running if run.data.tags.get("policy_id") == "test-policy"] == []


def test_files_that_mlflow_does_not_take_leave_no_version(
    options: TrainingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise TrainingError("MLflow did not take the model's files")

    monkeypatch.setattr(Tracking, "finish_run", refuse)
    with pytest.raises(TrainingError):
        train(options)
    assert versions_of(options) == []


def test_too_little_memory_is_one_sentence_and_leaves_no_version(
    options: TrainingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("planner_model.fitting.score_plans", run_out)
    with pytest.raises(TrainingError, match=r"^there is too little memory to train: use a smaller --batch-size"):
        train(options)
    assert versions_of(options) == []
