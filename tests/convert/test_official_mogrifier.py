"""State dicts of the public PyTorch Mogrifier LSTM: equal results, or one clear error where there is no counterpart."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from glomo_spacy.convert import ConvertedMogrifier, convert_official_mogrifier
from glomo_spacy.convert.key_map import MOGRIFIER, MOGRIFIER_RULES
from glomo_spacy.models import load_checkpoint, read_checkpoint

State = Dict[str, Tensor]
WORDS = ["</s>", "the", "<unk>", "cat", "sat", "on", "mat"]


def random_state(
    *, n_words: int = 7, m: int = 4, n: int = 4, n_layers: int = 1, n_pairs: int = 2, is_tied: bool = True
) -> State:
    """A state dict with the public names."""
    torch.manual_seed(1)
    lstm = nn.LSTM(m, n, n_layers)
    state = {f"rnn.{name}": tensor.detach() * 3 for name, tensor in lstm.named_parameters()}
    state["encoder.weight"] = torch.randn(n_words, m)
    state["decoder.weight"] = state["encoder.weight"].clone() if is_tied else torch.randn(n_words, n)
    state["decoder.bias"] = torch.randn(n_words)
    for pair in range(n_pairs):
        for name, shape in (("Qw", (m, n)), ("Rw", (n, m))):
            state[f"mogrify.layers.{pair}.{name}.weight"] = torch.randn(shape)
            state[f"mogrify.layers.{pair}.{name}.bias"] = torch.randn(shape[0])
    return state


def public_logits(state: State, ids: List[int]) -> Tensor:
    """What the public model computes: gate input and state, one step of torch's LSTM, decode; word by word."""
    n_layers = sum(name.startswith("rnn.weight_ih") for name in state)
    m, n = state["rnn.weight_ih_l0"].shape[1], state["rnn.weight_hh_l0"].shape[1]
    lstm = nn.LSTM(m, n, n_layers)
    lstm.load_state_dict({name[4:]: tensor for name, tensor in state.items() if name.startswith("rnn.")})
    h, c, rows = torch.zeros(n_layers, 1, n), torch.zeros(n_layers, 1, n), []
    for word in ids:
        x, pair = state["encoder.weight"][word][None, None], 0
        while f"mogrify.layers.{pair}.Qw.weight" in state:
            q_weight, q_bias, r_weight, r_bias = (
                state[f"mogrify.layers.{pair}.{part}"] for part in ("Qw.weight", "Qw.bias", "Rw.weight", "Rw.bias")
            )
            x = 2 * torch.sigmoid(h @ q_weight.T + q_bias) * x
            h = 2 * torch.sigmoid(x @ r_weight.T + r_bias) * h
            pair += 1
        output, (h, c) = lstm(x, (h, c))
        rows.append(output[0, 0] @ state["decoder.weight"].T + state["decoder.bias"])
    return torch.stack(rows).detach()


def convert(state: State, folder: Path, **options: Any) -> ConvertedMogrifier:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "public.safetensors")
    return convert_official_mogrifier(folder / "public.safetensors", folder / "converted", **options)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"n_pairs": 1, "m": 3, "is_tied": False},
        {"n_pairs": 3, "n": 5, "is_tied": False},
        {"n_pairs": 0},
        {"n_pairs": 0, "n_layers": 3, "m": 3, "is_tied": False},
    ],
    ids=["tied", "one pair", "three pairs", "no gates", "no gates, three layers"],
)
def test_results_are_those_of_the_public_model(shape: Dict[str, Any], tmp_path: Path) -> None:
    state = random_state(**shape)
    convert(state, tmp_path, vocab=WORDS)
    model: Any = load_checkpoint(tmp_path / "converted")
    tokens = ["cat", "sat", "strange", "mat", "the"]
    theirs = [0, *(WORDS.index(token) if token in WORDS else 2 for token in tokens)]
    chances = torch.log_softmax(public_logits(state, theirs), -1)[range(6), [*theirs[1:], 0]] / np.log(2)
    assert np.abs(model.score([tokens])[0] - chances.numpy()).max() < 1e-5


def test_sizes_and_provenance_are_kept(tmp_path: Path) -> None:
    converted = convert(random_state(n_words=7, m=3, n=5, is_tied=False), tmp_path, vocab=WORDS, lang="de")
    config = converted.config
    assert (config.cell, config.rounds, config.rank, config.input_gate) == ("mogrifier", 4, None, "free")
    assert (config.embedding_width, config.hidden_width, config.n_layers, config.forget_bias) == (3, 5, 1, 0.0)
    assert (config.vocab_size, config.tied, converted.has_unknown) == (8, False, True)
    checkpoint = read_checkpoint(tmp_path / "converted")
    assert checkpoint.vocab == ["<S>", "</S>", "<UNK>", "the", "cat", "sat", "on", "mat"]
    assert checkpoint.indexer == {"kind": "vocabulary", "lang": "de"}
    assert checkpoint.meta["converted_from"] == "public.safetensors"
    assert converted.n_weights == sum(tensor.numel() for tensor in checkpoint.state.values())


@pytest.mark.parametrize("prefix", ["model.", "module.", "module.model."])
def test_names_may_have_the_prefix_of_what_wraps_the_network(prefix: str, tmp_path: Path) -> None:
    convert({f"{prefix}{name}": tensor for name, tensor in random_state().items()}, tmp_path)


@pytest.mark.parametrize("stored", ["encoder.weight", "decoder.weight"])
def test_tied_table_may_be_stored_under_either_name(stored: str, tmp_path: Path) -> None:
    state = random_state()
    for name in {"encoder.weight", "decoder.weight"} - {stored}:
        del state[name]
    assert convert(state, tmp_path).config.tied
    table = read_checkpoint(tmp_path / "converted").state["embedding.weight"]
    assert torch.equal(table[3:], state[stored][1:])


def test_words_that_the_model_does_not_know_have_no_chance(tmp_path: Path) -> None:
    words = ["</s>", "the", "a", "cat", "sat", "on", "mat"]
    assert not convert(random_state(), tmp_path, vocab=words).has_unknown
    model: Any = load_checkpoint(tmp_path / "converted")
    chances = model.log_probabilities(torch.randn(3, 4)).exp()
    assert torch.equal(chances[:, :3] == 0, torch.tensor([[True, False, True]] * 3))  # <S>, </S>, <UNK>
    assert np.isfinite(model.score([["the", "strange"]])[0]).all()


def test_checkpoint_without_a_vocabulary_takes_ids(tmp_path: Path) -> None:
    state = random_state()
    converted = convert(state, tmp_path)
    model: Any = load_checkpoint(tmp_path / "converted")
    assert model.indexer is None
    assert not (tmp_path / "converted" / "vocab.txt").exists()
    assert (converted.config.vocab_size, converted.has_unknown) == (9, False)
    theirs = [0, 4, 2, 6]
    ours = torch.tensor([[1, 6, 4, 8]])
    expected = torch.log_softmax(public_logits(state, theirs), -1)
    found = model.log_probabilities(model(ours)[0][0])
    assert torch.allclose(found[:, [1, *range(3, 9)]], expected, atol=1e-5)


def test_pt_file_and_half_precision_are_read(tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in random_state().items()}
    torch.save(state, tmp_path / "public.pt")
    convert_official_mogrifier(tmp_path / "public.pt", tmp_path / "converted")
    assert {tensor.dtype for tensor in read_checkpoint(tmp_path / "converted").state.values()} == {torch.float32}


def test_other_tensors_are_left_out_and_named(tmp_path: Path) -> None:
    state = {**random_state(), "criterion.weight": torch.ones(7)}
    assert convert(state, tmp_path).unused == ["criterion.weight"]


@pytest.mark.parametrize(
    "words, found", [(WORDS[:-1], "6"), ([*WORDS, "more"], "8"), (["eos", *WORDS[1:]], "no such word")]
)
def test_vocabulary_that_does_not_fit_is_an_error(words: List[str], found: str, tmp_path: Path) -> None:
    message = rf"\[G249\] .*public.safetensors must list 7 words .* </S> or </s> or <eos> .* has {found}\."
    with pytest.raises(ValueError, match=message):
        convert(random_state(), tmp_path, vocab=words)
    assert not (tmp_path / "converted").exists()


def test_doubled_words_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G016\].*'cat' more than once"):
        convert(random_state(), tmp_path, vocab=[*WORDS[:-1], "cat"])


def gru_state() -> State:
    state = {name: tensor for name, tensor in random_state(n_pairs=0).items() if not name.startswith("rnn.")}
    return {**state, **{f"rnn.{name}": tensor.detach() for name, tensor in nn.GRU(4, 4).named_parameters()}}


@pytest.mark.parametrize(
    "state, reason",
    [
        (random_state(n_layers=2), "its gates stand before a stack of 2 layers, where one gated input cannot serve"),
        (gru_state(), "its cells are GRUs, not LSTMs"),
        ({**random_state(), "rnn.weight_hr_l0": torch.ones(4, 4)}, "its recurrent layers have rnn.weight_hr_l0"),
    ],
    ids=["two layers", "gru", "projected"],
)
def test_model_without_a_counterpart_is_refused_with_the_reason(state: State, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"\[G247\] .*cannot become a checkpoint of equal results: {reason}"):
        convert(state, tmp_path)
    assert not (tmp_path / "converted").exists()


@pytest.mark.parametrize(
    "missing",
    ["decoder.bias", "rnn.bias_hh_l0", "rnn.weight_ih_l0", "mogrify.layers.0.Qw.bias", "mogrify.layers.1.Rw.weight"],
)
def test_missing_tensor_is_named(missing: str, tmp_path: Path) -> None:
    state = random_state()
    del state[missing]
    with pytest.raises(ValueError, match=rf"\[G246\].*: {missing} is missing\. Found: "):
        convert(state, tmp_path)


def test_file_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G246\].*encoder.weight is missing. Found: weight\."):
        convert({"weight": torch.ones(2, 2)}, tmp_path)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda state: state["encoder.weight"].fill_(torch.nan), r"\[G226\].*encoder.weight"),
        (lambda state: state["rnn.bias_hh_l0"].fill_(torch.inf), r"\[G226\].*rnn.bias_hh_l0"),
        (
            lambda state: state.update({"decoder.bias": torch.ones(5)}),
            r"\[G248\].*decoder.bias \(5,\), expected \(7,\)",
        ),
        (lambda state: state.update({"rnn.bias_ih_l0": torch.ones(16, dtype=torch.int64)}), r"\[G248\].*bias_ih_l0"),
        (
            lambda state: state.update({"mogrify.layers.1.Rw.weight": torch.ones(3)}),
            r"\[G248\].*Rw.weight \(3,\), expected \(4, 4\)",
        ),
        (lambda state: state.update({"rnn.weight_hh_l0": torch.ones(())}), r"\[G248\].*weight_hh_l0 \(\)"),
        (lambda state: state.update({"encoder.weight": torch.ones(())}), r"\[G248\].*encoder.weight \(\)"),
    ],
)
def test_bad_tensors_are_one_clear_error(damage: Callable[[State], Any], message: str, tmp_path: Path) -> None:
    state = random_state()
    damage(state)
    with pytest.raises(ValueError, match=message):
        convert(state, tmp_path)


def test_every_name_rule_reads_in_both_directions() -> None:
    names = [name for name in random_state(is_tied=False) if not name.startswith("rnn.")]
    used = {rule for name in names for rule in MOGRIFIER_RULES if _fits(name, rule[0])}
    assert used == set(MOGRIFIER_RULES)
    for name in names:
        ours: Optional[str] = MOGRIFIER.to_ours(name)
        assert ours is not None
        assert MOGRIFIER.to_theirs(ours) == name


def _fits(name: str, template: str) -> bool:
    parts, fields = name.split("."), template.split(".")
    return len(parts) == len(fields) and all(
        f in ("{i}", "{leaf}") or f == p for p, f in zip(parts, fields, strict=True)
    )
