"""A reader that finds the answers to questions: over any tok2vec, or with all that a training run made of it.

Source: Yang et al. 2018 (arXiv 1806.05662), section 4.1.
"""

from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, cast

import torch
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor

from ..errors import Errors
from ..models.qa import ReaderConfig
from ..models.qa.windows import best_spans_of_windows
from .combine import check_rows, width_of
from .elmo import build_elmo_v1
from .glomo import build_glomo_graph_v1, glomo_config
from .pretrained import PretrainedShim, read_pretrained
from .qa_batches import DistinctTexts, Passage
from .qa_network import PARTS, ReaderInputs, ReaderNetwork, Settings, checked_reader, fresh_reader, part_of
from .types import DocRows, FeatureModel, GraphModel

PACKAGED_READER = "qa_en_sm"

SpanLogits = List[Floats2d]  # per passage: scores of each token seen as first and as last of the answer. (2, seen)
AnswerModel = Model[List[Passage], SpanLogits]
TokenSpan = Tuple[int, int, float]  # first token, the token after the last, score


@registry.architectures("glomo_spacy.ExtractiveQA.v1")
def build_extractive_qa_v1(
    tok2vec: Optional[FeatureModel] = None,
    state_graph: Optional[GraphModel] = None,
    *,
    pretrained: Optional[str] = None,
    characters: Optional[str] = None,
    char_width: Optional[int] = None,
    char_channels: Optional[int] = None,
    char_kernel: Optional[int] = None,
    max_chars: Optional[int] = None,
    mixture: Optional[str] = None,
    n_mixes: Optional[int] = None,
    encoder_width: Optional[int] = None,
    hidden_width: Optional[int] = None,
    model_width: Optional[int] = None,
    attention: Optional[str] = None,
    output: Optional[str] = None,
    input_dropout: Optional[float] = None,
    dropout: Optional[float] = None,
    pointer_dropout: Optional[float] = None,
    max_answer: Optional[int] = None,
) -> AnswerModel:
    """Read a context with a question in mind and score each token as first and as last of the answer.

    Made in one of two ways. Over a `tok2vec` it is trained by `spacy train`, features included. With `pretrained` it is
    a whole reader as `glomo-spacy pretrain` trained it: word vectors, characters, graphs and biLM come from there, a
    saved pipeline carries them all, and only the reader itself learns further.

    tok2vec (Optional[Model[List[Doc], List[Floats2d]]]): Word features, run over contexts and questions alike: the
        model's own, no listener. Graphs on word features are a `GraphTransfer.v1` here.
    state_graph (Optional[Model[List[Doc], List[Floats3d]]]): `GlomoGraph.v1`, frozen, beside a tok2vec: its graphs
        carry the encoder's states (TRNN). None: no graphs there.
    pretrained (Optional[str]): A packaged name or a checkpoint directory of kind "reader". None: "qa_en_sm", unless
        there is a tok2vec. Read now; if that fails, the reason is raised at first use unless stored weights came first.
    characters (Optional[str]): The alphabet of the character features; "": none. None, here and for all that follows:
        as the weights have it, which over a tok2vec begin with ASCII and the published values. What is given must be
        what the weights were trained with.
    char_width, char_channels, char_kernel, max_chars (Optional[int]): Width of a character's vector, channels and
        width of the convolution, characters read of a word. Published: 8, 100, 5, 16.
    mixture (Optional[str]), n_mixes (Optional[int]): Of `state_graph`, as `GraphTransfer.v1` has them. Published:
        "conditioned", 2.
    encoder_width, hidden_width, model_width (Optional[int]): States per direction of the shared encoder and below the
        self-attention, and rows between the parts. Published: 76 each.
    attention (Optional[str]): "softmax" (published) or "square".
    output (Optional[str]): "pointer" (published) or "recurrent".
    input_dropout, dropout, pointer_dropout (Optional[float]): In training only. Published: 0.2 each. The reader keeps
        to these; `nlp.update(drop=...)` and [training] dropout reach the tok2vec alone.
    max_answer (Optional[int]): Tokens of the longest answer. Published: 16.
    RETURNS (Model[List[Passage], List[Floats2d]]): Per passage the two scores of each token seen.
    RAISES: ValueError G091 for a listener, G094 for sub-models that do not go together, G100 or G101 for a setting. At
        first use, unless stored weights came first: G120 if there are no weights or they do not fit.
    """
    arguments = {
        "characters": characters,
        "char_width": char_width,
        "char_channels": char_channels,
        "char_kernel": char_kernel,
        "max_chars": max_chars,
        "mixture": mixture,
        "n_mixes": n_mixes,
        "encoder_width": encoder_width,
        "hidden_width": hidden_width,
        "model_width": model_width,
        "attention": attention,
        "output": output,
        "input_dropout": input_dropout,
        "dropout": dropout,
        "pointer_dropout": pointer_dropout,
        "max_answer": max_answer,
    }
    settings: Settings = {name: value for name, value in arguments.items() if value is not None}
    if tok2vec is not None and pretrained is None:
        return _over_tok2vec(tok2vec, state_graph, settings)
    if tok2vec is not None or state_graph is not None:
        raise ValueError(Errors.G094)
    return _from_checkpoint(pretrained or PACKAGED_READER, settings)


def with_pretrained(model: AnswerModel, pretrained: str) -> AnswerModel:
    """The same settings with the weights of a run.

    pretrained (str): As for `ExtractiveQA.v1`.
    RAISES: ValueError G095 for a model that is none of it.
    """
    return _from_checkpoint(pretrained, reader_network(model).settings)


def reader_network(model: AnswerModel) -> ReaderNetwork:
    """The reader in a model of `ExtractiveQA.v1`.

    RAISES: ValueError G095 for another model.
    """
    network = model.shims[0].network if model.shims and isinstance(model.shims[0], PretrainedShim) else None
    if not isinstance(network, ReaderNetwork):
        raise ValueError(Errors.G095.format(found=model.name))
    return network


def best_answers(model: AnswerModel, asked: Sequence[Sequence[Passage]], *, k: int = 1) -> List[List[TokenSpan]]:
    """The best answers to questions.

    asked (Sequence[Sequence[Passage]]): Each question with all windows of its context; none for an empty context.
    k (int): Answers per question at most.
    RETURNS (List[List[Tuple[int, int, float]]]): Positions in the context of the first token and after the last one,
        and score: the probability of that start times that of that end. Best first.
    RAISES: ValueError G120 if there are no weights.
    """
    logits = iter(model.predict([passage for passages in asked for passage in passages]))
    max_answer = reader_network(model).config.max_answer
    found: List[List[TokenSpan]] = []
    for passages in asked:
        starts, ends = zip(*(next(logits) for _ in passages)) if passages else ((), ())
        found.append(_best_spans(passages, starts, ends, max_answer=max_answer, k=k) if passages else [])
    return found


# --- The two ways to make it ------------------------------------------------------------------------------------------


def _over_tok2vec(tok2vec: FeatureModel, graph: Optional[GraphModel], settings: Settings) -> AnswerModel:
    for node in tok2vec.walk():
        if hasattr(node, "upstream_name"):  # what makes a listener, in spaCy and for transformers
            raise ValueError(Errors.G091.format(name=node.name, upstream=node.upstream_name))
    ReaderConfig(feature_width=1, graph="none" if graph is None else "states", **settings)  # refuses what is wrong, now
    network = ReaderNetwork(settings, problem=Errors.G096)
    return _make_model(network, tok2vec=tok2vec, graph=graph)


def _from_checkpoint(pretrained: str, settings: Settings) -> AnswerModel:
    """Its frozen models stand beside the reader, empty ones if it has none: stored weights may bring some."""
    network = read_pretrained(pretrained, partial(checked_reader, settings))
    config = network.config if network.has_weights else None
    graph = build_glomo_graph_v1(pretrained=config.graph_source if config else None)
    elmo = build_elmo_v1(pretrained=config.elmo_source if config else None, layers="all")
    return _make_model(network, graph=graph, elmo=elmo)


def _make_model(network: ReaderNetwork, **parts: Optional[Model]) -> AnswerModel:
    found = {name: part for name, part in parts.items() if part is not None}
    return Model(
        "extractive_qa",
        _forward,
        init=_init,
        layers=list(found.values()),
        attrs={PARTS: list(found)},
        shims=[PretrainedShim(network)],
    )


def _init(model: AnswerModel, X: Optional[List[Passage]] = None, Y: Optional[SpanLogits] = None) -> None:
    """Make a reader over the tok2vec; one that came with its weights stays as it is."""
    tok2vec, graph = part_of(model, "tok2vec"), part_of(model, "graph")
    if tok2vec is None:
        return
    docs = DistinctTexts(X).docs if X else None
    tok2vec.initialize(X=docs)
    width = width_of(tok2vec, docs)
    if width is None:
        return
    sizes: Dict[str, Any] = {"feature_width": width}
    if graph is not None:
        graph.initialize(X=docs)
        found = glomo_config(graph)
        sizes.update(graph="states", graph_layers=found.n_layers, graph_heads=found.n_heads)
    shim = cast(PretrainedShim, model.shims[0])
    shim._model = fresh_reader(reader_network(model).settings, **sizes).to(shim.device)


# --- Forward and back -------------------------------------------------------------------------------------------------


def _forward(model: AnswerModel, passages: List[Passage], is_train: bool) -> Tuple[SpanLogits, Callable]:
    """Equal texts are read once. The gradient reaches the reader and, where there is one, the tok2vec."""
    shim, network = cast(PretrainedShim, model.shims[0]), reader_network(model).network
    if is_train:
        shim.begin_pass()
    texts = DistinctTexts(passages)
    rows, rows_backprop = text_features(model, texts.docs, is_train=is_train)
    inputs = ReaderInputs(model, texts, rows)
    logits: Dict[int, Tensor] = {}
    with torch.set_grad_enabled(is_train):
        for batch in texts.batches(has_graphs=network.config.graph in ("inputs", "states")):
            contexts, questions = inputs.side(batch.contexts), inputs.side(batch.questions)
            owners = torch.tensor(batch.owners, device=contexts.mask.device)
            both = torch.stack(network(contexts, questions, owners, is_train=is_train), dim=1)  # (questions, 2, seq)
            for member, scores in zip(batch.members, both):
                logits[member] = scores[:, : len(passages[member].tokens)]
    ordered = [logits[member] for member in range(len(passages))]

    def backprop(d_logits: SpanLogits) -> List[Passage]:
        if ordered:
            torch.autograd.backward(ordered, [xp2torch(d_scores, device=shim.device) for d_scores in d_logits])
        shim.end_pass()
        rows_backprop()
        return []  # texts take no gradient

    return [cast(Floats2d, torch2xp(scores.detach().clone())) for scores in ordered], backprop


def text_features(model: AnswerModel, docs: List[Doc], *, is_train: bool) -> Tuple[Optional[Tensor], Callable[[], Any]]:
    """Rows of the tok2vec for all Docs, one after the other, and how their gradient goes back; None without one."""
    tok2vec = part_of(model, "tok2vec")
    if tok2vec is None or not docs:
        return None, lambda: None
    X, X_backprop = cast(Tuple[DocRows, Callable], tok2vec(docs, is_train))
    check_rows(tok2vec.name, X, docs)
    rows = xp2torch(model.ops.flatten(X), requires_grad=is_train, device=cast(PretrainedShim, model.shims[0]).device)
    lengths = model.ops.asarray1i([len(doc) for doc in docs])

    def backprop() -> Any:
        gradient = torch.zeros_like(rows) if rows.grad is None else rows.grad
        return X_backprop(model.ops.unflatten(cast(Floats2d, torch2xp(gradient)), lengths))

    return rows, backprop


def _best_spans(
    passages: Sequence[Passage], starts: Sequence[Any], ends: Sequence[Any], *, max_answer: int, k: int
) -> List[TokenSpan]:
    """Of one question. Places among all tokens seen become positions in the context."""
    tokens = sorted({int(token) for passage in passages for token in passage.tokens})
    begins = [tokens.index(int(passage.tokens[0])) for passage in passages]
    first_scores, last_scores = ([xp2torch(scores) for scores in side] for side in (starts, ends))
    spans = best_spans_of_windows(first_scores, last_scores, begins, max_answer=max_answer, k=k)
    return [(tokens[first], tokens[last] + 1, score) for first, last, score in spans]
