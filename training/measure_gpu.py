"""Measures training at full size on a GPU. The weights are random: memory and speed are those of real ones, plans not."""

import argparse
import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from planner_model.adapters import add_adapter
from planner_model.base_models import choose_device, load_base_model, load_tokenizer
from planner_model.candidate_scores import score_plans
from planner_model.dataset import open_dataset
from planner_model.errors import TrainingError, run_command
from planner_model.examples import Example
from planner_model.fitting import FitOptions, FitState, fit, household_targets
from planner_model.memory import explaining_too_little_memory
from planner_model.packing import pack_examples, pack_plan
from planner_model.plan_decoding import decode_plan
from planner_model.quiet import silence
from planner_model.tokens import TokenReader, create_token_reader


def shape_of(config: Any, vocabulary: int, hidden: int, inner: int, layers: int, heads: int, shared_heads: int) -> Any:
    """The configuration of a base model by its sizes; what else it has changes neither memory nor speed."""
    return config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared_heads,
    )


SHAPES = {
    "llama-3-8b": shape_of(LlamaConfig, 128_256, 4096, 14_336, 32, 32, 8),
    "mistral-7b": shape_of(MistralConfig, 32_768, 4096, 14_336, 32, 32, 8),
    "qwen2.5-7b": shape_of(Qwen2Config, 152_064, 3584, 18_944, 28, 28, 4),
    # For trying the script without a GPU.
    "small": shape_of(LlamaConfig, 32_768, 64, 128, 2, 4, 2),
}
GIB = 1024**3


class Clock:
    """Seconds of every step; a step has ended when its loss is known, so the GPU has done its work."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.steps: list[float] = []
        self.losses: list[float] = []

    def step(self, _step: int, _steps: int, loss: float) -> None:
        """Called after every step."""
        now = time.perf_counter()
        self.steps.append(now - self.last)
        self.losses.append(loss)
        self.last = now

    def epoch(self, _state: FitState) -> None:
        """Called after validation, which is no part of a step."""
        self.last = time.perf_counter()


def write_random_weights(shape: str, folder: Path) -> None:
    """The folder of a base model of this shape, as a hub would give it."""
    device = choose_device(shape)
    torch.manual_seed(1)
    with torch.device(device.device):
        model = AutoModelForCausalLM.from_config(SHAPES[shape], dtype=torch.bfloat16)
    model.save_pretrained(str(folder))


def measure(
    source: str, splits: tuple[list[Example], list[Example]], reader: TokenReader, options: argparse.Namespace
) -> dict[str, Any]:
    """Loads, trains and plans with the code of a training run; gives what it took."""
    training, validation = splits
    device = choose_device(source)
    on_gpu = device.device.type == "cuda"
    started = time.perf_counter()
    base = load_base_model(source, device, four_bit=options.qlora)
    load_seconds = time.perf_counter() - started
    weights = torch.cuda.memory_allocated() if on_gpu else 0
    torch.manual_seed(1)
    model = add_adapter(base, rank=16, dropout=0.05, recompute=not options.keep_layers)
    clock = Clock()
    fit_options = FitOptions(
        epochs=options.epochs,
        learning_rate=2e-4,
        batch_size=options.batch_size,
        accumulation=1,
        seed=1,
        edited_weight=3.0,
        patience=options.epochs,
    )
    with explaining_too_little_memory("there is too little memory to train"):
        state = fit(model, reader, splits, fit_options, household_targets, on_step=clock.step, on_epoch=clock.epoch)
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    # The first epoch warms up.
    steps_per_epoch = len(clock.steps) // options.epochs
    measured = clock.steps[steps_per_epoch:] or clock.steps
    tokens = sum(len(plan.ids) for plan in pack_examples(training, reader))
    epochs = len(measured) / steps_per_epoch
    seconds = sum(measured)
    return {
        "load_seconds": round(load_seconds, 1),
        "weights_gib": round(weights / GIB, 2),
        "peak_gib": round(peak / GIB, 2),
        "steps": len(clock.steps),
        "tokens_per_plan": round(tokens / len(training)),
        "tokens_per_second": round(tokens * epochs / seconds),
        "plans_per_second": round(len(training) * epochs / seconds, 2),
        "first_loss": round(sum(clock.losses[:steps_per_epoch]) / steps_per_epoch, 3),
        "last_loss": round(sum(clock.losses[-steps_per_epoch:]) / steps_per_epoch, 3),
        "validation_losses": [round(result.validation_loss, 3) for result in state.results],
        **plan_all(model, validation, reader),
    }


def plan_all(model: Any, examples: list[Example], reader: TokenReader) -> dict[str, Any]:
    """Plans one by one, as serving does. Raises TrainingError for a plan that breaks a rule or leaves a slot open."""
    model.eval()
    latencies = []
    for example in examples:
        started = time.perf_counter()
        with torch.no_grad():
            scores = score_plans(model, [pack_plan(example.context, example.slots, reader)], reader)
        shares = torch.softmax(scores, dim=1).tolist()
        plan = decode_plan(example.slots, shares, allowed_only=True)
        latencies.append((time.perf_counter() - started) * 1000)
        allowed = {slot.slot_id: {c.recipe_id for c in slot.candidates if c.allowed} for slot in example.slots}
        filled = {entry["slot_id"]: entry["recipe_id"] for entry in plan}
        if filled.keys() != {slot_id for slot_id, ids in allowed.items() if ids}:
            raise TrainingError(f"the plan {example.plan_id} leaves a slot open that could be filled")
        if any(recipe_id not in allowed[slot_id] for slot_id, recipe_id in filled.items()):
            raise TrainingError(f"the plan {example.plan_id} breaks a rule")
    latencies.sort()
    return {"valid_plans": len(examples), "plan_ms_median": round(latencies[len(latencies) // 2], 1)}


def main() -> None:
    """One JSON line for each shape and way."""
    silence()
    parser = argparse.ArgumentParser(prog="measure_gpu.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--dataset", required=True, help="folder of a dataset")
    parser.add_argument("--tokenizer", required=True, help="hub id or folder; its ids must fit into the vocabularies")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["llama-3-8b", "mistral-7b", "qwen2.5-7b"])
    parser.add_argument("--ways", nargs="+", choices=["lora", "qlora", "lora-keep-layers"], default=["lora", "qlora"])
    parser.add_argument("--plans", type=int, default=48, help="training plans (default: 48)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--work", type=Path, default=None, help="where weights are put (default: a temporary folder)")
    options = parser.parse_args()
    dataset = open_dataset(options.dataset, lambda _version: None)
    splits = (dataset.examples("training")[: options.plans], dataset.examples("validation")[:16])
    reader = create_token_reader(load_tokenizer(options.tokenizer))
    for shape in options.shapes:
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            write_random_weights(shape, Path(folder))
            for way in options.ways:
                gc.collect()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()
                options.qlora, options.keep_layers = way == "qlora", way == "lora-keep-layers"
                try:
                    result = measure(folder, splits, reader, options)
                except TrainingError as error:
                    result = {"error": str(error)}
                print(json.dumps({"shape": shape, "way": way, "batch_size": options.batch_size, **result}), flush=True)


if __name__ == "__main__":
    sys.exit(run_command("measure_gpu", main))
