"""LoRA adapters on a base model, and what is trained when the base is quantized."""

from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

TARGET_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def add_adapter(base: Any, *, rank: int, dropout: float, four_bit: bool) -> Any:
    """A model whose only trainable weights are a LoRA adapter of this rank."""
    prepared = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False) if four_bit else base
    return get_peft_model(
        prepared,
        LoraConfig(
            r=rank, lora_alpha=2 * rank, lora_dropout=dropout, target_modules=TARGET_MODULES, task_type="CAUSAL_LM"
        ),
    )


def load_adapter(base: Any, folder: Path, *, trainable: bool) -> Any:
    """The base model with the adapter of the folder."""
    return PeftModel.from_pretrained(base, str(folder), is_trainable=trainable)


def save_adapter(model: Any, folder: Path) -> None:
    """Writes adapter_model.safetensors and adapter_config.json."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
