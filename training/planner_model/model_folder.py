"""The files of a trained model: a card, the tokenizer, the adapter, and the base model where it is a tiny one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner_model.adapters import load_adapter
from planner_model.base_models import TINY, choose_device, load_base_model, load_tokenizer
from planner_model.errors import TrainingError
from planner_model.examples import MODEL_INPUT_VERSION
from planner_model.tokens import TokenReader, create_token_reader

CARD = "planner_model.json"
BASE = "base"
ADAPTER = "adapter"
TOKENIZER = "tokenizer"


@dataclass(frozen=True)
class ModelCard:
    """What is needed to use the model, and where it came from."""

    base_model: str
    four_bit: bool
    model_input_version: int
    dataset_version: str
    code_commit: str
    seed: int


@dataclass(frozen=True)
class PlannerModel:
    """A loaded model, ready to score."""

    card: ModelCard
    model: Any
    reader: TokenReader


def write_card(folder: Path, card: ModelCard) -> None:
    """Writes the card; the folder is a model from then on."""
    (folder / CARD).write_text(json.dumps(asdict(card), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_planner_model(folder: Path) -> PlannerModel:
    """Loads a model from its folder. Raises TrainingError when it is none, or is of another release."""
    try:
        card = ModelCard(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{folder} is no planner model: {CARD} cannot be read ({error})") from error
    if card.model_input_version != MODEL_INPUT_VERSION:
        raise TrainingError(
            f"the model reads version {card.model_input_version} of the model input, "
            f"and this release writes version {MODEL_INPUT_VERSION}"
        )
    base_source = str(folder / BASE) if card.base_model == TINY else card.base_model
    base = load_base_model(base_source, choose_device(card.base_model), four_bit=card.four_bit)
    model = load_adapter(base, folder / ADAPTER, trainable=False)
    model.eval()
    return PlannerModel(card, model, create_token_reader(load_tokenizer(str(folder / TOKENIZER))))
