"""Base models by name: short names of well-known ones, any hub id, a local folder, or `tiny`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from planner_model.errors import TrainingError
from planner_model.memory import explaining_too_little_memory

TINY = "tiny"
SHORT_NAMES = {
    "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama-3.2-1b": "meta-llama/Llama-3.2-1B",
    "mistral-7b": "mistralai/Mistral-7B-v0.3",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B",
    "qwen2.5-1.5b": "Qwen/Qwen2.5-1.5B",
    "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B",
}
# Four bits, and one 32-bit scale for every 64 of them.
BYTES_PER_QUANTIZED_PARAMETER = 0.5 + 4 / 64


@dataclass(frozen=True)
class Device:
    """Where the model runs, and the number format of its weights there."""

    device: torch.device
    dtype: torch.dtype

    @property
    def title(self) -> str:
        """Name of the card, or `cpu`, and the number format."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return f"{name} {str(self.dtype).removeprefix('torch.')}"


def choose_device(base_model: str) -> Device:
    """CUDA where there is one, with bf16 where it has it; else the CPU with 32 bits.

    `tiny` has 32 bits everywhere: there is nothing to save, and 16 took longer.
    """
    if torch.cuda.is_available():
        has_bf16 = base_model != TINY and torch.cuda.is_bf16_supported()
        return Device(torch.device("cuda"), torch.bfloat16 if has_bf16 else torch.float32)
    return Device(torch.device("cpu"), torch.float32)


def resolve_name(name: str) -> str:
    """The hub id or folder that a name means."""
    return SHORT_NAMES.get(name, name)


def load_tokenizer(source: str) -> Any:
    """The tokenizer of a base model. Raises TrainingError when it cannot be had."""
    try:
        return AutoTokenizer.from_pretrained(source)
    except Exception as error:  # the hub client has many kinds, and each becomes one sentence
        raise _explain(source, error) from error


def load_base_model(source: str, device: Device, *, four_bit: bool) -> Any:
    """The weights of a base model on the device. Raises TrainingError when they are not there or do not fit."""
    try:
        config = AutoConfig.from_pretrained(source)
    except Exception as error:
        raise _explain(source, error) from error
    _check_memory(source, config, device, four_bit=four_bit)
    quantization = (
        BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=device.dtype)
        if four_bit
        else None
    )
    # Straight to where it runs: the memory beside a GPU need not hold it.
    placement = {"device_map": {"": device.device}} if device.device.type == "cuda" else {}
    try:
        with explaining_too_little_memory(f"there is too little memory for {source}{_advice(four_bit=four_bit)}"):
            return AutoModelForCausalLM.from_pretrained(
                source, dtype=device.dtype, quantization_config=quantization, attn_implementation="sdpa", **placement
            )
    except TrainingError:
        raise
    except Exception as error:
        raise _explain(source, error) from error


def _advice(*, four_bit: bool) -> str:
    return "" if four_bit else "; --qlora needs a quarter of it"


def _weight_bytes(config: Any, dtype: torch.dtype, *, four_bit: bool) -> float:
    """Bytes of the weights. In four bits are the matrices of the layers; words in and out stay as they are."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    words_out = model.get_output_embeddings()
    quantized = sum(
        module.weight.numel()
        for module in model.modules()
        if four_bit and isinstance(module, torch.nn.Linear) and module is not words_out
    )
    return float(quantized * BYTES_PER_QUANTIZED_PARAMETER + (parameters - quantized) * dtype.itemsize)


def _check_memory(source: str, config: Any, device: Device, *, four_bit: bool) -> None:
    needed = _weight_bytes(config, device.dtype, four_bit=four_bit)
    on_gpu = device.device.type == "cuda"
    free = float(torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available)
    if needed > free:
        gib = 1024**3
        raise TrainingError(
            f"the weights of {source} need {needed / gib:.1f} GiB of memory and {free / gib:.1f} GiB are free"
            f"{_advice(four_bit=four_bit)}"
        )


def _explain(source: str, error: Exception) -> TrainingError:
    names = {type(cause).__name__ for cause in _causes(error)}
    text = " ".join(str(cause) for cause in _causes(error))
    if Path(source).is_dir():
        return TrainingError(f"the folder {source} is no model that can be loaded: {_first_line(error)}")
    if "GatedRepoError" in names or "gated repo" in text or "401" in text or "403" in text:
        return TrainingError(
            f"there is no access to {source}: accept its license on the hub and set HF_TOKEN, or give a local folder"
        )
    if "RepositoryNotFoundError" in names or "not a valid model identifier" in text or "404" in text:
        return TrainingError(f"the hub has no model {source}, and there is no folder of that name")
    return TrainingError(
        f"the weights of {source} are not on this machine and cannot be downloaded: "
        "give a local folder, or use --model=tiny"
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
