"""Tests of how yes and no are found in the tokenizers of base models."""

from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers
from transformers import PreTrainedTokenizerFast

from planner_model.errors import TrainingError
from planner_model.tokens import create_token_reader

BLANK_FIRST = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def tokenizer_with(vocabulary: list[str]) -> Any:
    """A tokenizer of whole pieces, longest first, as those of Mistral and Llama 2 are stored on the hub."""
    scores = [("<unk>", 0.0), *((piece, float(-1)) for piece in vocabulary)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=0))
    tokenizer.normalizer = BLANK_FIRST
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def test_a_tokenizer_that_begins_every_text_with_a_blank_tells_yes_from_no() -> None:
    vocabulary = ["▁", "▁=>", "▁yes", "▁no"]
    tokenizer = tokenizer_with(vocabulary)
    assert tokenizer.tokenize(" yes") == ["▁", "▁yes"]
    reader = create_token_reader(tokenizer)
    assert tokenizer.convert_ids_to_tokens([reader.yes_id, reader.no_id]) == ["▁yes", "▁no"]


def test_a_tokenizer_that_knows_neither_is_refused() -> None:
    tokenizer = tokenizer_with(["▁", "▁=>"])
    with pytest.raises(TrainingError, match="does not tell yes from no"):
        create_token_reader(tokenizer)
