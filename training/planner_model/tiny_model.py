"""The model `tiny`: a small Llama and a tokenizer of whole words, made on the spot for machines without weights."""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from planner_model.examples import Example
from planner_model.tokens import ANSWERS, CANDIDATE_END

SPECIAL_WORDS = ["<pad>", "<unknown>"]


def create_tiny_tokenizer(examples: Sequence[Example]) -> Any:
    """Every word of the examples is a token, in alphabetical order; other words are <unknown>."""
    words = {word for example in examples for word in example.context.split()}
    words |= {
        word
        for example in examples
        for slot in example.slots
        for candidate in slot.candidates
        for word in candidate.text.split()
    }
    fixed = [*SPECIAL_WORDS, "household", CANDIDATE_END.strip(), *(answer.strip() for answer in ANSWERS)]
    vocabulary = {word: index for index, word in enumerate([*fixed, *sorted(words - set(fixed))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL_WORDS[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=SPECIAL_WORDS[0], unk_token=SPECIAL_WORDS[1])


def create_tiny_model(vocabulary_size: int, seed: int) -> Any:
    """About 100,000 random parameters; the same seed gives the same model."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary_size,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
        )
    )
