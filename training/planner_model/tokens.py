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
    yes, no = (tokenizer.encode(answer, add_special_tokens=False)[0] for answer in ANSWERS)
    if yes == no:
        raise TrainingError("the tokenizer of the base model does not tell yes from no")
    return TokenReader(tokenizer, yes, no)
