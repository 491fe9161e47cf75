"""The reader against plain loops, and what must not change its answers."""

from dataclasses import replace
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import torch
from reference.reader import Text
from reference.reader_state import oracle_of, random_reader, random_text, side_of
from reference.reader_torch import Transcription
from torch import Tensor

from glomo_spacy.models.qa import ReaderModel, Side

VARIANTS: List[Dict[str, Any]] = [
    {},
    {"output": "recurrent"},
    {"attention": "square"},
    *({"graph": "inputs", "fusion": fusion} for fusion in ("concatenate", "gru", "gate", "gate-products")),
    {"graph": "inputs", "mixture": "free", "n_mixes": 1},
    {"graph": "states"},
    {"graph": "uniform", "fusion": "concatenate"},
]
CONTEXTS, QUESTIONS, OWNERS = (7, 1, 5), (3, 4, 1, 2), (0, 2, 0, 1)  # lengths, and whose each question is


def make_texts(seed: int = 0) -> Tuple[List[Text], List[Text]]:
    generator = np.random.default_rng(seed)
    contexts, questions = ([random_text(generator, length) for length in lengths] for lengths in (CONTEXTS, QUESTIONS))
    return contexts, questions


def answer(model: ReaderModel, context: Side, question: Side, owners: Any = OWNERS) -> Tuple[Tensor, Tensor]:
    with torch.no_grad():
        start, end = model(context, question, torch.tensor(owners), is_train=False)
    return start, end


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_reader_equals_plain_loops(options: Dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = random_reader(**options)
    contexts, questions = make_texts()
    found = answer(model, side_of(contexts), side_of(questions))
    for number, (owner, question) in enumerate(zip(OWNERS, questions)):
        expected = oracle_of(model).logits(contexts[owner], question)
        for logits, scores in zip(found, expected):
            np.testing.assert_allclose(logits[number, : CONTEXTS[owner]].numpy(), scores, atol=1e-10)
            assert (logits[number, CONTEXTS[owner] :] == -1e30).all()


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_padding_and_batch_mates_change_nothing(options: Dict[str, Any]) -> None:
    torch.manual_seed(1)
    model = random_reader(**options)
    contexts, questions = make_texts()
    together = answer(model, side_of(contexts, padding=3, rubbish=9), side_of(questions, padding=2, rubbish=9))
    for number, (owner, question) in enumerate(zip(OWNERS, questions)):
        alone = answer(model, side_of([contexts[owner]]), side_of([question]), [0])
        for many, one in zip(together, alone):
            torch.testing.assert_close(many[number, : CONTEXTS[owner]], one[0], atol=1e-10, rtol=0)


def test_a_context_given_once_or_once_per_question_gives_the_same_answers() -> None:
    torch.manual_seed(2)
    model = random_reader(graph="inputs")
    contexts, questions = make_texts()
    shared = answer(model, side_of(contexts), side_of(questions))
    repeated = answer(model, side_of([contexts[owner] for owner in OWNERS]), side_of(questions), range(len(OWNERS)))
    for one, other in zip(shared, repeated):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_parameter_learns_and_evaluation_draws_no_masks(options: Dict[str, Any]) -> None:
    torch.manual_seed(3)
    model = random_reader(train_words=True, **options)
    contexts, questions = make_texts()
    sides, owners = (side_of(contexts), side_of(questions)), torch.tensor(OWNERS)
    start, end = model(*sides, owners, is_train=True)
    model.loss(start, end, torch.tensor([2, 4, 0, 0]), torch.tensor([3, 4, 6, 0])).backward()
    still = {name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()}
    # What is added to the scores of all tokens alike, soft-max takes away: of its gradient only rounding may be left.
    assert still <= {"output.start_score.bias", "output.end_score.bias"}
    assert torch.equal(answer(model, *sides)[0], answer(model, *sides)[0])
    assert not torch.equal(start, model(*sides, owners, is_train=True)[0])


@pytest.mark.parametrize("options", [{}, {"graph": "states"}, {"output": "recurrent", "attention": "square"}], ids=str)
def test_gradients_are_those_of_the_loss(options: Dict[str, Any]) -> None:
    torch.manual_seed(4)
    model = random_reader(**options)
    contexts, questions = make_texts()
    sides = side_of(contexts, padding=1), side_of(questions)
    assert sides[0].features is not None
    sides[0].features = sides[0].features.requires_grad_()

    def loss_of(features: Tensor, first_state: Tensor, weight: Tensor) -> Tensor:
        start, end = model(*sides, torch.tensor(OWNERS), is_train=False)
        return model.loss(start, end, torch.tensor([2, 4, 0, 0]), torch.tensor([3, 4, 6, 0]))

    inputs = sides[0].features, model.self_encoder.first_state, model.encoder.gru.weight_hh_l0_reverse
    assert torch.autograd.gradcheck(loss_of, inputs, fast_mode=True)


@pytest.mark.parametrize("graph", ["none", "inputs", "states"])
def test_reader_equals_the_published_data_flow(graph: str) -> None:
    torch.manual_seed(5)
    model = random_reader(graph=graph, elmo_layers=0, feature_width=0)
    transcription = Transcription(model.config).double()
    transcription.load(model.state_dict())
    contexts, questions = make_texts()
    sides = side_of([contexts[owner] for owner in OWNERS], padding=20), side_of(questions, padding=20)
    for ours, theirs in zip(answer(model, *sides, range(len(OWNERS))), transcription(*sides)):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("graph", ["inputs", "states", "uniform"])
def test_explanation_shows_the_weights_that_make_the_mixed_graphs(graph: str) -> None:
    torch.manual_seed(6)
    model = random_reader(graph=graph, candidates="plain" if graph == "states" else None)
    contexts, questions = make_texts()
    context = side_of(contexts)
    explanation = model.explain(context, side_of(questions), torch.tensor(OWNERS))
    use = explanation.context
    assert use is not None
    assert explanation.question is not None
    assert torch.equal(explanation.start_logits, answer(model, context, side_of(questions))[0])
    if use.weights is None:
        assert graph == "uniform"
        expected = torch.tensor([[7 * [1 / 7]], [[1.0] + 6 * [0.0]], [5 * [0.2] + [0.0, 0.0]]], dtype=torch.float64)
        torch.testing.assert_close(use.graphs[:, 0, 0, :1], expected)
        return
    assert use.names == (["G1", "G2", "G2 G1"] if graph == "inputs" else ["G1", "G2"])
    torch.testing.assert_close(use.weights.sum((-1, -2)), torch.ones(3, 7, 2, 2, dtype=torch.float64))
    assert context.graphs is not None
    left = torch.stack(list(context.graphs[:2]), dim=1)  # (batch, layers, heads, receiver, source)
    candidates = [left[:, 0], left[:, 1], left[:, 1] @ left[:, 0]][: len(use.names)]
    mixed = torch.einsum("bimch,bchij->bmij", use.weights[:, :, 0], torch.stack(candidates, dim=1))
    torch.testing.assert_close(use.graphs[:, 0], mixed)


def test_a_reader_without_graphs_explains_its_scores_alone() -> None:
    model = random_reader()
    contexts, questions = make_texts()
    explanation = model.explain(side_of(contexts), side_of(questions), torch.tensor(OWNERS))
    assert explanation.context is None
    assert explanation.question is None


def test_questions_on_one_context_share_its_dropout_masks() -> None:
    """The same question twice: where only the encoder drops, both see the same context."""
    model = random_reader(input_dropout=0.5, dropout=0.0, pointer_dropout=0.0)
    contexts, questions = make_texts()
    sides = side_of(contexts[:1]), side_of(questions[:1])
    start, _ = model(side_of(contexts[:1]), side_of(questions[:1] * 2), torch.tensor([0, 0]), is_train=True)
    single, _ = model(*sides, torch.tensor([0]), is_train=False)
    assert not torch.equal(start[0], single[0])
    encoded, _ = model._encode(*sides, is_train=True)
    assert encoded[1].shape[0] == 1


def test_a_side_that_lacks_what_the_config_asks_for_is_named() -> None:
    model = random_reader(graph="inputs")
    contexts, questions = make_texts()
    question = side_of(questions)
    question.graphs = question.elmo = None
    with pytest.raises(ValueError, match="G192.*question side.*elmo, graphs"):
        model(side_of(contexts), question, torch.tensor(OWNERS), is_train=False)


@pytest.mark.parametrize("graph", ["none", "inputs", "states"])
def test_a_step_under_autocast_stays_near_the_exact_one(graph: str) -> None:
    torch.manual_seed(7)
    model = random_reader(graph=graph).float()
    contexts, questions = make_texts()
    context, question = as_floats(side_of(contexts)), as_floats(side_of(questions))
    exact, _ = answer(model, context, question)
    with torch.autocast("cpu", torch.bfloat16):
        start, end = model(context, question, torch.tensor(OWNERS), is_train=False)
        model.loss(start, end, torch.tensor([2, 4, 0, 0]), torch.tensor([3, 4, 6, 0])).backward()
    torch.testing.assert_close(start, exact, atol=0.2, rtol=0.1)


def as_floats(side: Side) -> Side:
    assert side.elmo is not None
    assert side.features is not None
    graphs = [layer.float() for layer in side.graphs or ()]
    return replace(side, elmo=side.elmo.float(), features=side.features.float(), graphs=graphs)
