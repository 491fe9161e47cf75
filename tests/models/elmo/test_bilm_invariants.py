"""What holds for any biLM: the same text has the same vectors in any company, after any text, in any process."""

import copy
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List

import numpy as np
import pytest
import torch
from reference.elmo_state import ALPHABET, SENTENCES, VOCAB, tiny_bilm

from glomo_spacy.indexers import CharIndexer, VocabularyIndexer, WordIndexer
from glomo_spacy.models import load_checkpoint, save_checkpoint
from glomo_spacy.models.elmo import BiLM

TOLERANCE = 1e-5
LETTERS = ["a", "b", "é", "日", " ", "<S>", "</S>", "<UNK>", "\u00a0", "😀", "\x00", "-"]


def random_sentences(seed: int, n_sentences: int = 12) -> List[List[str]]:
    """Words of 0 to 60 letters from a small stock, so that they repeat; some sentences are empty."""
    chance = random.Random(seed)
    stock = ["".join(chance.choices(LETTERS, k=chance.choice([0, 1, 3, 7, 12, 60]))) for _ in range(20)]
    return [chance.choices(stock, k=chance.choice([0, 1, 2, 9, 30])) for _ in range(n_sentences)]


def assert_close(found: List[np.ndarray], expected: List[np.ndarray]) -> None:
    assert [layers.shape for layers in found] == [layers.shape for layers in expected]
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def assert_identical(found: List[np.ndarray], expected: List[np.ndarray]) -> None:
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected))


@pytest.fixture(scope="module")
def model() -> BiLM:
    # As wide as it takes for the fast products to be chosen.
    return tiny_bilm(filters=((1, 32), (2, 96), (4, 256)), projection_width=64, cell_width=96)


@pytest.mark.parametrize("seed", range(6))
def test_a_sentence_has_the_same_vectors_alone_and_in_any_batch_and_order(model, seed):
    sentences = random_sentences(seed)
    together = model.layers(sentences)
    assert_close([model.layers([sentence])[0] for sentence in sentences], together)
    order = random.Random(seed).sample(range(len(sentences)), len(sentences))
    shuffled = model.layers([sentences[number] for number in order])
    assert_close(shuffled, [together[number] for number in order])
    assert_close(model.layers(sentences, batch_tokens=40), together)


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_has_the_same_bits_after_any_earlier_text(model, seed):
    sentences = random_sentences(seed)
    model.cache.clear()
    first = model.layers(sentences)
    assert_identical(model.layers(sentences), first)  # every word from the cache
    model.cache.clear()
    for other in range(10, 13):
        model.layers(random_sentences(other))
    model.layers(sentences[:1], state="carry")
    for sentence in reversed(sentences):
        model.layers([[*sentence[::-1], f"new{seed}"]])  # the cache fills in another order and other company
    assert_identical(model.layers(sentences), first)


def test_another_process_gives_the_same_bits(tmp_path):
    model, sentences = tiny_bilm(), random_sentences(1)
    save_checkpoint(tmp_path / "model", model, indexer=model.indexer.config, vocab=None, meta={})
    code = (
        "import sys, numpy as np\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[2])!r}]\n"
        "from test_bilm_invariants import random_sentences\n"
        "from glomo_spacy.models import load_checkpoint\n"
        f"layers = load_checkpoint({str(tmp_path / 'model')!r}).layers(random_sentences(1))\n"
        f"np.savez({str(tmp_path / 'layers.npz')!r}, *layers)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with np.load(tmp_path / "layers.npz") as found:
        assert_identical([found[f"arr_{number}"] for number in range(len(sentences))], model.layers(sentences))


def test_threads_share_a_model():
    model = tiny_bilm()
    texts = [random_sentences(seed, 4) for seed in range(12)]
    expected = [model.layers(text) for text in texts]
    model.cache = type(model.cache)(max_words=15)
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(model.layers, texts * 3), expected * 3):
            assert_close(found, wanted)


def test_the_forward_half_sees_no_later_word_and_the_backward_half_no_earlier_one(model):
    sentence = ["the", "cat", "sat", "on", "the", "mat"]
    changed = ["the", "cat", "sat", "in", "the", "mat"]
    before, after = model.layers([sentence])[0], model.layers([changed])[0]
    forward, backward = slice(0, 64), slice(64, 128)
    np.testing.assert_allclose(before[:, :3, forward], after[:, :3, forward], atol=1e-7)
    np.testing.assert_allclose(before[:, 4:, backward], after[:, 4:, backward], atol=1e-7)
    assert np.abs(before[1:, 3:, forward] - after[1:, 3:, forward]).max(axis=2).min() > 1e-3
    assert np.abs(before[1:, :4, backward] - after[1:, :4, backward]).max(axis=2).min() > 1e-3


def test_padding_symbols_in_a_text_are_words_like_others():
    model = tiny_bilm()
    literal, empty, other = (
        model.layers([["a", "\x00", "b"]])[0],
        model.layers([["a", "b"]])[0],
        model.layers([["a", "", "b"]])[0],
    )
    assert literal.shape[1] == other.shape[1] == 3
    assert np.abs(literal[0, 1] - other[0, 1]).max() > 1e-3
    assert empty.shape[1] == 2


def test_no_sentences_and_empty_sentences_are_ordinary_input():
    model = tiny_bilm()
    assert model.layers([]) == []
    assert model.layers([], state="carry") == []
    assert [layers.shape for layers in model.layers([[], []])] == [(3, 0, 16)] * 2
    assert [layers.shape for layers in model.layers([[]], state="carry")] == [(3, 0, 16)]
    assert [layers.shape for layers in model.layer_tensors([[], ["a"]], keep_graph=True)] == [(3, 0, 16), (3, 1, 16)]


def test_carried_state_can_be_forgotten_and_leaves_zero_state_alone():
    model = tiny_bilm()
    first = model.layers(SENTENCES[:2], state="carry")
    zero = model.layers(SENTENCES[:2])
    assert_close(first, zero)
    second = model.layers(SENTENCES[:2], state="carry")
    assert np.abs(second[0] - first[0]).max() > 1e-3
    assert_identical(model.layers(SENTENCES[:2]), zero)
    model.reset_state()
    assert_identical(model.layers(SENTENCES[:2], state="carry"), first)


def test_gradients_reach_every_parameter_and_the_tensors_equal_the_layers():
    model = tiny_bilm()
    expected = model.layers(SENTENCES)
    tensors = model.layer_tensors(SENTENCES, keep_graph=True)
    assert_close([tensor.detach().numpy() for tensor in tensors], expected)
    torch.cat([tensor.flatten() for tensor in tensors]).square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert not any(tensor.requires_grad for tensor in model.layer_tensors(SENTENCES))


def test_gradients_of_the_parameters_are_right():
    model = tiny_bilm().double()
    sentences = [["the", "cat"], ["a" * 50]]
    weights = [torch.randn(3, len(sentence), 16, dtype=torch.float64) for sentence in sentences]

    def loss() -> torch.Tensor:
        return sum(
            (layers * weight).sum() for layers, weight in zip(model.layer_tensors(sentences, keep_graph=True), weights)
        )

    loss().backward()
    for name, parameter in model.named_parameters():
        place = int(parameter.grad.abs().argmax())
        flat = parameter.data.view(-1)
        kept, step = flat[place].item(), 1e-6
        flat[place] = kept + step
        above = loss().item()
        flat[place] = kept - step
        below = loss().item()
        flat[place] = kept
        assert parameter.grad.view(-1)[place].item() == pytest.approx((above - below) / (2 * step), rel=1e-4), name


def test_layers_are_those_of_evaluation_in_training_mode_too():
    model = tiny_bilm(dropout=0.5)
    expected = model.layers(SENTENCES)
    model.train()
    assert_identical(model.layers(SENTENCES), expected)
    assert model.training
    dropped = model.layer_tensors(SENTENCES, keep_graph=True)
    assert np.abs(dropped[0].detach().numpy() - expected[0]).max() > 1e-3


@pytest.mark.gpu
def test_a_gpu_gives_the_layers_of_the_cpu(model):
    moved = copy.deepcopy(model).cuda()
    for state in ("zero", "carry", "carry"):
        assert_close(moved.layers(SENTENCES, state=state), model.layers(SENTENCES, state=state))


def test_copies_and_pickles_give_the_same_bits():
    model = tiny_bilm()
    expected = model.layers(SENTENCES)
    assert_identical(copy.deepcopy(model).layers(SENTENCES), expected)
    assert_identical(pickle.loads(pickle.dumps(model)).layers(SENTENCES), expected)


@pytest.mark.parametrize("changes", [{}, {"alphabet": ALPHABET}, {"token_encoder": "words"}, {"directions": "forward"}])
def test_a_saved_model_reads_words_when_loaded(tmp_path, changes):
    model = tiny_bilm(**changes)
    vocab = VOCAB if model.config.token_encoder == "words" else None
    save_checkpoint(tmp_path / "model", model, indexer=model.indexer.config, vocab=vocab, meta={})
    loaded = load_checkpoint(tmp_path / "model")
    assert loaded.config == model.config
    assert_identical(loaded.layers(SENTENCES), model.layers(SENTENCES))


@pytest.mark.parametrize(
    "sentences", ["the cat", ["the cat"], [["the", 3]], [["the", None]], [[["the"]]], [b"the cat"], [["the"], "cat"]]
)
def test_text_that_is_not_split_into_tokens_is_refused(sentences):
    with pytest.raises(ValueError, match=r"G017.*a list of sentences, each a list of tokens"):
        tiny_bilm().layers(sentences)


def test_misuse_is_named():
    model = tiny_bilm()
    with pytest.raises(ValueError, match="G109.*'keep' is not known.*zero, carry"):
        model.layers([["a"]], state="keep")
    with pytest.raises(ValueError, match="G111.*'words' does not fit.*'characters'"):
        model.attach_indexer(WordIndexer(["<unk>"]))
    with pytest.raises(ValueError, match="G108.*30 characters a word at most.*50"):
        model.attach_indexer(CharIndexer(max_characters=30))
    with pytest.raises(ValueError, match="G108.*8 characters, but the model's table has 262"):
        model.attach_indexer(CharIndexer(alphabet="a"))
    with pytest.raises(ValueError, match="G108.*4 words.*11"):
        tiny_bilm(token_encoder="words").attach_indexer(VocabularyIndexer([*VOCAB[:3], "a"]))
    with pytest.raises(ValueError, match="G107.*no indexer"):
        BiLM(model.config).layers([["a"]])


def test_weights_of_a_mixture_must_fit_the_layers():
    model = tiny_bilm()
    layers = model.layers([["a", "b"], []])
    with pytest.raises(ValueError, match="G110.*2 weights for 3 layers"):
        model.mix(layers, [0.0, 0.0])
    assert [mixed.shape for mixed in model.mix(layers, [0.0, 1.0, 2.0])] == [(2, 16), (0, 16)]
    assert model.mix([], [0.0]) == []
