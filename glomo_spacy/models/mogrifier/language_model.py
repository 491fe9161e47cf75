"""The language model: texts in, what each word costs out.

Source: Melis et al. 2020, section 4, and deepmind/lamb. `</S>` is read before the first word of a text.
"""

from typing import List, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from . import scoring
from .network import WordNetwork
from .scoring import Annotation, TokenLists


class LanguageModel(WordNetwork):
    """A `WordNetwork` that scores lists of words; see there for the arguments."""

    def score(self, token_lists: TokenLists) -> List[npt.NDArray[np.float64]]:
        """How likely each word is after those before it.

        Each list starts from a state of zero, after one `</S>`, so that it has the same scores in any company. Memory
        is bounded for lists of any length.

        token_lists (TokenLists): Tokens as the model's tokeniser gives them; any list may be empty. `</S>` is the end
            of a sentence; no other string is special, but `<UNK>` is an unknown word without a spelling.
        RETURNS (List[ndarray]): log2-probabilities, the end of the sentence last; of an unknown word that of being
            unknown, plus that of its spelling if the model has one. Shape of each: (tokens + 1,).
        RAISES: ValueError G017 for anything but lists of strings, G184 without an indexer.
        """
        return [each.scores for each in scoring.annotate(self, token_lists, has_states=False)]

    def states(self, token_lists: TokenLists) -> List[npt.NDArray[np.float32]]:
        """Outputs after each word, as features. As `score`; shape of each: (tokens, width)."""
        return [each.states for each in scoring.annotate(self, token_lists, has_scores=False)]

    def annotate(
        self, token_lists: TokenLists, *, has_scores: bool = True, has_states: bool = True
    ) -> List[Annotation]:
        """Scores, states and which words are unknown, in one pass; see `Annotation`."""
        return scoring.annotate(self, token_lists, has_scores=has_scores, has_states=has_states)

    def state_tensors(self, token_lists: TokenLists, *, keep_graph: bool = False) -> List[Tensor]:
        """As `states`, as tensors and in the model's own mode.

        keep_graph (bool): Let gradients reach the parameters; dropout acts in training mode.
        """
        return scoring.state_tensors(self, token_lists, keep_graph=keep_graph)

    def candidates(self, prefix_tokens: Sequence[str], n: int = 10) -> List[Tuple[str, float]]:
        """The likeliest next words.

        prefix_tokens (Sequence[str]): What stands before, from the start of the text; may be empty.
        n (int): Words at most. `</S>`, the end of the sentence, may be among them; `<UNK>` is not.
        RETURNS (List[Tuple[str, float]]): Words with log2-probabilities, likeliest first.
        """
        return scoring.candidates(self, prefix_tokens, n)

    def rescore(self, alternatives: TokenLists) -> List[Tuple[int, float]]:
        """Order alternatives, such as the hypotheses of a recogniser, by how likely they are.

        RETURNS (List[Tuple[int, float]]): Place in the list and total log2-probability, its end included, best first.
        """
        totals = [(place, float(scores.sum())) for place, scores in enumerate(self.score(alternatives))]
        return sorted(totals, key=lambda each: -each[1])
