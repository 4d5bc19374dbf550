"""Tests of base models: names, weights that are not there, memory that is too small."""

from pathlib import Path

import psutil
import pytest
import torch

from planner_model import base_models
from planner_model.base_models import Device, load_base_model, load_tokenizer, resolve_name
from planner_model.errors import TrainingError
from planner_model.tiny_model import create_tiny_model

CPU = Device(torch.device("cpu"), torch.float32)


@pytest.fixture(autouse=True)
def _without_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_short_names_mean_hub_ids_and_others_mean_themselves() -> None:
    assert resolve_name("llama-3-8b") == "meta-llama/Meta-Llama-3-8B"
    assert resolve_name("mistral-7b") == "mistralai/Mistral-7B-v0.3"
    assert resolve_name("qwen2.5-7b") == "Qwen/Qwen2.5-7B"
    assert resolve_name("owner/other") == "owner/other"


def test_weights_that_cannot_be_had_are_one_sentence() -> None:
    for load in (load_tokenizer, lambda source: load_base_model(source, CPU, four_bit=False)):
        with pytest.raises(TrainingError, match="owner/absent are not on this machine and cannot be downloaded"):
            load("owner/absent")


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is no model that can be loaded"):
        load_base_model(str(tmp_path), CPU, four_bit=False)


def test_no_access_and_no_such_model_are_told_apart() -> None:
    class GatedRepoError(Exception):
        pass

    class RepositoryNotFoundError(Exception):
        pass

    gated = base_models._explain("meta-llama/x", GatedRepoError("You are trying to access a gated repo"))
    assert "there is no access to meta-llama/x: accept its license" in str(gated)
    absent = base_models._explain("owner/x", RepositoryNotFoundError("none"))
    assert str(absent) == "the hub has no model owner/x, and there is no folder of that name"


def test_too_little_memory_is_told_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_tiny_model(50, 1).save_pretrained(str(tmp_path))
    memory = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(TrainingError, match=r"need 0\.0 GiB of memory and 0\.0 GiB are free; --qlora needs a quarter"):
        load_base_model(str(tmp_path), CPU, four_bit=False)


def test_in_four_bits_only_the_matrices_of_the_layers_become_small() -> None:
    config = create_tiny_model(1000, 1).config
    layers, words, norms = 2 * (4 * 64 * 64 + 3 * 64 * 128), 1000 * 64, 5 * 64
    whole = base_models._weight_bytes(config, torch.bfloat16, four_bit=False)
    small = base_models._weight_bytes(config, torch.bfloat16, four_bit=True)
    assert whole == 2 * (layers + words + norms)
    assert small == 0.5625 * layers + 2 * (words + norms)
