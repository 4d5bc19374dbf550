"""LoRA adapters on a base model."""

from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer

TARGET_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def add_adapter(base: Any, *, rank: int, dropout: float, recompute: bool) -> Any:
    """A model whose only trainable weights are a LoRA adapter of this rank, in 32 bits whatever the base is held in.

    `recompute`: the backward pass computes every layer again instead of keeping what is inside: about a third slower,
    and the only way in which billions of parameters fit beside some thousand tokens. The result is the same.
    """
    if recompute:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=dropout, target_modules=TARGET_MODULES, task_type="CAUSAL_LM"
    )
    return _without_input_casts(get_peft_model(base, config))


def load_adapter(base: Any, folder: Path, *, trainable: bool) -> Any:
    """The base model with the adapter of the folder."""
    return _without_input_casts(PeftModel.from_pretrained(base, str(folder), is_trainable=trainable))


def _without_input_casts(model: Any) -> Any:
    """Number formats are chosen where scores are made; PEFT's own casts to 32 bits are slow on a GPU."""
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False
    return model


def save_adapter(model: Any, folder: Path) -> None:
    """Writes adapter_model.safetensors and adapter_config.json."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
