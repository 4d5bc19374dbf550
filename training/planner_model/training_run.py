"""One training run from dataset to registered model version."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from tqdm import tqdm

from planner_model.adapters import add_adapter, save_adapter
from planner_model.base_models import TINY, Device, choose_device, load_base_model, load_tokenizer, resolve_name
from planner_model.checkpoint import load_checkpoint, save_checkpoint
from planner_model.dataset import Dataset, open_dataset
from planner_model.errors import TrainingError
from planner_model.examples import MODEL_INPUT_VERSION, Example, shuffle_targets
from planner_model.fitting import FitOptions, FitState, fit, household_targets, logged_targets
from planner_model.memory import explaining_too_little_memory
from planner_model.model_folder import ADAPTER, BASE, TOKENIZER, ModelCard, write_card
from planner_model.options import TrainingOptions
from planner_model.tiny_model import create_tiny_model, create_tiny_tokenizer
from planner_model.tokens import TokenReader, create_token_reader
from planner_model.tracking import Tracking

PREFIT_LEARNING_RATE = 3e-3
TASK = "meal-planning"
TOO_LITTLE_MEMORY = (
    "there is too little memory to train: use a smaller --batch-size with --gradient-accumulation, or --qlora"
)


def train(options: TrainingOptions) -> None:
    """Trains and registers. Raises TrainingError; whatever fails, no model version is left behind."""
    tracking = Tracking(options.mlflow_url)
    tracking.ensure_experiment("planner-training")
    if options.training_key:
        known = tracking.find_version(options.model_name, options.training_key)
        if known is not None:
            _print_result(options, known, None)
            return
    dataset = open_dataset(options.dataset, tracking.find_dataset)
    training, validation = _read_examples(dataset, options)
    # One thread is many times faster for a small model, and the order of sums does not depend on the machine.
    if options.model == TINY:
        torch.set_num_threads(1)
    files = options.output / "model"
    files.mkdir(parents=True, exist_ok=True)
    tags = _tags(options, dataset)
    device = choose_device(options.model)
    parameters = {**_parameters(options, dataset), "device": device.title}
    run_id = tracking.start_run(f"{options.model}-{dataset.version[:8]}", tags, parameters, dataset)
    status = "FAILED"
    try:
        with explaining_too_little_memory(TOO_LITTLE_MEMORY):
            model, reader = _prepare_model(options, device, files, training, validation, tracking, run_id)
            state = _fine_tune(model, reader, (training, validation), options, dataset, files, tracking, run_id)
        write_card(files, _card(options, dataset))
        best = state.results[state.best_epoch]
        metrics = {"validation_loss": best.validation_loss, "offline_score": best.offline_score}
        if device.device.type == "cuda":
            metrics["peak_gpu_memory_gib"] = torch.cuda.max_memory_allocated(device.device) / 1024**3
        tracking.finish_run(run_id, files, metrics)
        status = "FINISHED"
        version = tracking.register(options.model_name, run_id, tags)
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if status != "FINISHED":
            tracking.fail_run(run_id, status)
    _print_result(options, version, {"run_id": run_id, "epochs": state.epoch, **metrics})


def _read_examples(dataset: Dataset, options: TrainingOptions) -> tuple[list[Example], list[Example]]:
    def answered(split: str) -> list[Example]:
        examples = dataset.examples(split)
        return [example for example in examples if any(slot.target is not None for slot in example.slots)]

    training, validation = answered("training"), answered("validation")
    for split, examples in (("training", training), ("validation", validation)):
        if not examples:
            raise TrainingError(
                f"the {split} split of {dataset.location} has no plan with an answer: nothing to learn from"
            )
    return (shuffle_targets(training, options.seed) if options.shuffle_targets else training), validation


def _prepare_model(
    options: TrainingOptions,
    device: Device,
    files: Path,
    training: list[Example],
    validation: list[Example],
    tracking: Tracking,
    run_id: str,
) -> tuple[Any, TokenReader]:
    source = resolve_name(options.model)
    if options.model == TINY:
        source = str(files / BASE)
        if not (options.resume and (files / BASE).exists()):
            _make_tiny(options, files, training, validation, tracking, run_id)
    tokenizer = load_tokenizer(str(files / TOKENIZER) if options.model == TINY else source)
    tokenizer.save_pretrained(str(files / TOKENIZER))
    base = load_base_model(source, device, four_bit=options.qlora)
    torch.manual_seed(options.seed)
    # Tiny fits anywhere.
    recompute = options.model != TINY
    model = add_adapter(base, rank=options.lora_rank, dropout=options.lora_dropout, recompute=recompute)
    return model, create_token_reader(tokenizer)


def _make_tiny(
    options: TrainingOptions,
    files: Path,
    training: list[Example],
    validation: list[Example],
    tracking: Tracking,
    run_id: str,
) -> None:
    """The base model of `tiny`: it learns from the training split alone to plan as the logging policy did."""
    shutil.rmtree(files, ignore_errors=True)
    tokenizer = create_tiny_tokenizer(training)
    tokenizer.save_pretrained(str(files / TOKENIZER))
    model = create_tiny_model(len(tokenizer), options.seed)
    if options.prefit_epochs > 0:
        fit_options = FitOptions(
            epochs=options.prefit_epochs,
            learning_rate=PREFIT_LEARNING_RATE,
            batch_size=options.batch_size,
            accumulation=1,
            seed=options.seed,
            edited_weight=1.0,
            patience=options.prefit_epochs,
        )
        with _progress("pre-fit") as bar:
            fit(
                model,
                create_token_reader(tokenizer),
                (training, validation),
                fit_options,
                logged_targets,
                on_step=bar.update_to,
                on_epoch=lambda state: tracking.log_epoch(run_id, "prefit", state),
            )
    model.save_pretrained(str(files / BASE))


def _fine_tune(
    model: Any,
    reader: TokenReader,
    splits: tuple[list[Example], list[Example]],
    options: TrainingOptions,
    dataset: Dataset,
    files: Path,
    tracking: Tracking,
    run_id: str,
) -> FitState:
    fit_options = FitOptions(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        accumulation=options.gradient_accumulation,
        seed=options.seed,
        edited_weight=options.edited_weight,
        patience=options.patience,
    )
    identity = {**_parameters(options, dataset)}
    state = None
    if options.resume:
        state, weights = load_checkpoint(options.output, identity)
        set_peft_model_state_dict(model, weights)

    def finished_epoch(state: FitState) -> None:
        if state.best_epoch == state.epoch - 1:
            save_adapter(model, files / ADAPTER)
        save_checkpoint(options.output, identity, state, get_peft_model_state_dict(model))
        tracking.log_epoch(run_id, "train", state)
        result = state.results[-1]
        print(
            f"epoch {state.epoch} of {options.epochs}: validation loss {result.validation_loss:.4f}, "
            f"offline score {result.offline_score:.3f}",
            file=sys.stderr,
        )

    with _progress("fine-tune") as bar:
        return fit(
            model,
            reader,
            splits,
            fit_options,
            household_targets,
            state=state,
            on_step=bar.update_to,
            on_epoch=finished_epoch,
        )


class _Bar:
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, title: str) -> None:
        self.bar = tqdm(desc=title, unit="step", disable=None, leave=False)

    def update_to(self, step: int, steps: int, loss: float) -> None:
        self.bar.total = steps
        self.bar.n = step
        self.bar.set_postfix(loss=f"{loss:.3f}")

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _progress(title: str) -> _Bar:
    return _Bar(title)


def _parameters(options: TrainingOptions, dataset: Dataset) -> dict[str, Any]:
    return {
        "base_model": resolve_name(options.model),
        "dataset_version": dataset.version,
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "batch_size": options.batch_size,
        "gradient_accumulation": options.gradient_accumulation,
        "lora_rank": options.lora_rank,
        "lora_dropout": options.lora_dropout,
        "qlora": options.qlora,
        "edited_weight": options.edited_weight,
        "prefit_epochs": options.prefit_epochs if options.model == TINY else 0,
        "seed": options.seed,
        "shuffle_targets": options.shuffle_targets,
        "model_input_version": MODEL_INPUT_VERSION,
    }


def _tags(options: TrainingOptions, dataset: Dataset) -> dict[str, str]:
    return {
        "policy_id": options.policy_id,
        "dataset_version": dataset.version,
        "task": TASK,
        "stage": "trained",
        "code_commit": _code_commit(),
        **({"training_key": options.training_key} if options.training_key else {}),
        **({"control": "shuffled-targets"} if options.shuffle_targets else {}),
    }


def _card(options: TrainingOptions, dataset: Dataset) -> ModelCard:
    return ModelCard(
        base_model=TINY if options.model == TINY else resolve_name(options.model),
        four_bit=options.qlora,
        model_input_version=MODEL_INPUT_VERSION,
        dataset_version=dataset.version,
        code_commit=_code_commit(),
        seed=options.seed,
    )


def _code_commit() -> str:
    """The commit of the checkout, or what CODE_COMMIT says where there is none."""
    given = os.environ.get("CODE_COMMIT")
    if given:
        return given
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return git.stdout.strip() or "unknown"


def _print_result(options: TrainingOptions, version: int, details: dict[str, Any] | None) -> None:
    print(
        json.dumps(
            {"model": options.model_name, "version": version, "already_existed": details is None, **(details or {})}
        )
    )
