"""Texts as tokens: how the words about a household and a candidate become numbers, for any tokenizer."""

from dataclasses import dataclass
from typing import Any

from planner_model.errors import TrainingError

CANDIDATE_END = " =>"
ANSWERS = (" yes", " no")


@dataclass(frozen=True)
class TokenReader:
    """A tokenizer and the two tokens whose difference is the score of a candidate."""

    tokenizer: Any
    yes_id: int
    no_id: int

    def context(self, text: str) -> list[int]:
        """Tokens of the words about the household. Never empty: every later token needs something to look at."""
        return self._encode(f"household {text}\n")

    def candidate(self, text: str) -> list[int]:
        """Tokens of one candidate; after the last one the model says yes or no."""
        return self._encode(f"{text}{CANDIDATE_END}")

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids


def create_token_reader(tokenizer: Any) -> TokenReader:
    """Finds the tokens of yes and no. Raises TrainingError when the tokenizer cannot tell them apart."""
    # Read after the end of a candidate, where the model says them: some tokenizers begin every text with a blank.
    yes, no = (tokenizer.encode(f"{CANDIDATE_END}{answer}", add_special_tokens=False) for answer in ANSWERS)
    different = [pair for pair in zip(yes, no, strict=False) if pair[0] != pair[1]]
    if not different:
        raise TrainingError("the tokenizer of the base model does not tell yes from no")
    return TokenReader(tokenizer, *different[0])
