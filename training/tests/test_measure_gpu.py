"""Tests that the measuring of a GPU works where there is none, in a small shape."""

import json
import sys
from pathlib import Path

import pytest

import measure_gpu
from planner_model.examples import to_example
from planner_model.tiny_model import create_tiny_tokenizer
from tests.samples import sample_row, write_dataset


def test_each_way_trains_and_plans_and_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, tokenizer = write_dataset(tmp_path / "dataset"), tmp_path / "tokenizer"
    create_tiny_tokenizer([to_example(sample_row(number)) for number in range(48)]).save_pretrained(str(tokenizer))
    arguments = ["--dataset", str(dataset), "--tokenizer", str(tokenizer), "--shapes", "small"]
    ways = ["lora", "lora-keep-layers"]
    monkeypatch.setattr(sys, "argv", ["measure_gpu.py", *arguments, "--plans", "8", "--epochs", "2", "--ways", *ways])
    measure_gpu.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["way"] for line in lines] == ways
    for line in lines:
        assert (line["steps"], line["valid_plans"]) == (2, 12)
        assert line["tokens_per_second"] > 0
        assert line["last_loss"] < line["first_loss"]
