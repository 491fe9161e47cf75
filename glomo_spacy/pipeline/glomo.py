"""`glomo_graph`: which words of a text relate to which, without training.

Source: Yang et al. 2018, "GLoMo: Unsupervisedly Learned Relational Graphs as Transferable Representations"
(arXiv 1806.05662).
"""

from typing import Any, Dict, List, Optional, Sequence

from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..architectures.glomo import build_glomo_graph_v1, relational_graphs
from ..architectures.seam import MAX_TOKENS
from ..architectures.types import GraphModel
from ..errors import Errors
from ..graphs import RelationalGraph
from .annotating import AnnotatingPipe
from .extensions import GLOMO_GRAPH, GLOMO_RELATIONS, set_graph

KEEP = ("mixed", "all")
DEFAULTS: Dict[str, Any] = {
    "model": {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": "glomo_en_sm"},
    "pretrained": None,
    "top_k": 16,
    "min_weight": 0.01,
    "keep": "mixed",
    "max_batch_tokens": MAX_TOKENS,
}


@Language.factory(
    "glomo_graph", assigns=[f"doc._.{GLOMO_GRAPH}", f"token._.{GLOMO_RELATIONS}"], default_config=DEFAULTS
)
def make_glomo_graph(
    nlp: Language,
    name: str,
    model: GraphModel,
    pretrained: Optional[str],
    top_k: Optional[int],
    min_weight: float,
    keep: str,
    max_batch_tokens: int,
) -> "GlomoGraph":
    """Build a `GlomoGraph` component.

    model (Model[List[Doc], List[Floats3d]]): The frozen network, of `glomo_spacy.GlomoGraph.v1`.
    pretrained (Optional[str]): Short for `model.pretrained`: a packaged name or a checkpoint directory. None: as the
        model says.
    top_k (Optional[int]): Strongest sources kept per token. None: all. 16: a mixture of many graphs is nearly dense.
    min_weight (float): Weights kept are above this, 0-1. 0.01: the share of a source among a hundred equal ones.
    keep (str): "mixed" keeps the mean over directions, layers and heads; "all" keeps each of these beside it.
    max_batch_tokens (int): Padded tokens computed at once; fewer need less memory.
    """
    if pretrained is not None:
        model = build_glomo_graph_v1(pretrained=pretrained)
    return GlomoGraph(
        nlp.vocab, model, name, top_k=top_k, min_weight=min_weight, keep=keep, max_batch_tokens=max_batch_tokens
    )


class GlomoGraph(AnnotatingPipe):
    """Sets `doc._.glomo_graph`, a `RelationalGraph`, and by it `token._.glomo_relations`.

    It is never trained, and its weights are stored with the pipeline. Whitespace tokens have no relations.

    vocab (Vocab): The pipeline's vocabulary.
    model, top_k, min_weight, keep, max_batch_tokens: As for `make_glomo_graph`.
    RAISES: ValueError G101 for a setting out of range.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: GraphModel,
        name: str = "glomo_graph",
        *,
        top_k: Optional[int] = 16,
        min_weight: float = 0.01,
        keep: str = "mixed",
        max_batch_tokens: int = MAX_TOKENS,
    ) -> None:
        checks = (
            ("top_k", top_k, "a whole number above 0, or null", top_k is None or top_k > 0),
            ("min_weight", min_weight, "at least 0 and below 1", 0 <= min_weight < 1),
            ("keep", keep, " or ".join(map(repr, KEEP)), keep in KEEP),
            ("max_batch_tokens", max_batch_tokens, "a whole number above 0", max_batch_tokens > 0),
        )
        for setting, value, expected, is_valid in checks:
            if not is_valid:
                raise ValueError(Errors.G101.format(name=setting, expected=expected, value=value))
        super().__init__(vocab, model, name)
        self.top_k = top_k
        self.min_weight = min_weight
        self.keep = keep
        self.max_batch_tokens = max_batch_tokens

    def predict(self, docs: Sequence[Doc]) -> List[RelationalGraph]:
        """The pruned graph of each Doc; the Docs stay as they are."""
        return relational_graphs(
            self.model,
            docs,
            top_k=self.top_k,
            min_weight=self.min_weight,
            keep_all=self.keep == "all",
            max_tokens=self.max_batch_tokens,
        )

    def set_annotations(self, docs: Sequence[Doc], graphs: Sequence[RelationalGraph]) -> None:
        """Store each graph on its Doc."""
        for doc, graph in zip(docs, graphs):
            set_graph(doc, graph)
