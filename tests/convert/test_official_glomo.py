"""Published GLoMo checkpoints in: names, sizes, and one clear error for each kind of bad file."""

import json
import pickle
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
import torch
from reference.glomo_state import Arrays, random_state
from safetensors.numpy import save_file

from glomo_spacy.convert import ConvertedGlomo, convert_official_glomo
from glomo_spacy.convert.key_map import GLOMO, GLOMO_RULES
from glomo_spacy.models import load_checkpoint, read_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel


def convert(state: Arrays, folder: Path, **options: Any) -> ConvertedGlomo:
    save_file(state, folder / "original.safetensors")
    settings: Dict[str, Any] = {"n_heads": 4, "sparsity": "threshold", **options}
    return convert_official_glomo(folder / "original.safetensors", folder / "converted", **settings)


def test_sizes_are_read_from_the_tensors(tmp_path: Path) -> None:
    state = random_state(
        vocab_size=31,
        width=24,
        n_heads=6,
        head_width=5,
        n_layers=3,
        n_key_layers=1,
        n_query_layers=4,
        kernel_size=2,
        dec_layers=1,
    )
    converted = convert(state, tmp_path, n_heads=6, dec_len=5)
    assert converted.config == GlomoConfig(
        vocab_size=31,
        width=24,
        n_heads=6,
        head_width=5,
        n_layers=3,
        n_key_layers=1,
        n_query_layers=4,
        kernel_size=2,
        n_decoder_layers=1,
        dec_len=5,
    )
    model = load_checkpoint(tmp_path / "converted")
    assert model.config == converted.config
    assert converted.n_weights == sum(parameter.numel() for parameter in model.parameters())


def test_unused_tensors_are_listed_and_left_out(tmp_path: Path) -> None:
    state = random_state(n_layers=1)
    state["st_predictor_fw.key_cnn.0.1.num_batches_tracked"] = np.array(5)
    assert convert(state, tmp_path).unused == [
        "st_predictor_bw.sparse_bias",
        "st_predictor_bw.value_trans.0.bias",
        "st_predictor_bw.value_trans.0.weight",
        "st_predictor_fw.key_cnn.0.1.num_batches_tracked",
        "st_predictor_fw.sparse_bias",
        "st_predictor_fw.value_trans.0.bias",
        "st_predictor_fw.value_trans.0.weight",
    ]


@pytest.mark.parametrize(
    "sparsity, predictor, missing",
    [
        ("threshold", "gru", "st_predictor_fw.sparse_trans.1.bias"),
        ("shifted-relu", "gru", "st_predictor_bw.sparse_bias"),
        ("square", "gru", "st_predictor_bw.gru_cell.weight_hh"),
        ("square", "additive", "st_predictor_fw.value_trans.1.weight"),
        ("relu", "gru", "dec_net_fw.rnn_fw.bias_hh_l0"),
        ("relu", "gru", "st_predictor_fw.query_cnn.0.1.running_mean"),
        ("top-k", "gru", "st_predictor_bw.key_cnn.1.0.weight"),
    ],
)
def test_missing_tensor_is_named(sparsity: str, predictor: str, missing: str, tmp_path: Path) -> None:
    state = random_state()
    del state[missing]
    with pytest.raises(ValueError, match=rf"\[G223\].*{missing}\. Check --sparsity"):
        convert(state, tmp_path, sparsity=sparsity, feature_predictor=predictor)
    assert not (tmp_path / "converted").exists()


def test_tied_softmax_may_be_stored_under_any_of_its_names(tmp_path: Path) -> None:
    state = random_state()
    table = state.pop("enc_emb.weight")
    del state["dec_net_fw.out.weight"]
    convert(state, tmp_path)
    model = load_checkpoint(tmp_path / "converted")
    assert np.array_equal(model.state_dict()["embedding.weight"].numpy(), table)


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    convert({name: array.astype(np.float16) for name, array in random_state().items()}, tmp_path)
    state = read_checkpoint(tmp_path / "converted").state
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def test_without_a_vocabulary_the_checkpoint_says_that_it_takes_ids(tmp_path: Path) -> None:
    convert(random_state(), tmp_path)
    assert not (tmp_path / "converted" / "vocab.txt").exists()
    checkpoint = read_checkpoint(tmp_path / "converted")
    assert checkpoint.vocab is None
    assert checkpoint.indexer == {"kind": "ids"}


@pytest.mark.parametrize("has_unknown", [True, False])
def test_vocabulary_travels_with_the_checkpoint(has_unknown: bool, tmp_path: Path) -> None:
    words = [f"word{index}" for index in range(22)]
    convert(random_state(), tmp_path, vocab=words + ["<unk>"] * has_unknown)
    checkpoint = read_checkpoint(tmp_path / "converted")
    assert checkpoint.vocab == [*words, "<unk>"]
    assert checkpoint.indexer == {"kind": "words", "digits": True, "casing": "fallback", "lang": "en"}


@pytest.mark.parametrize("words, code", [(["a", "b"], "G205"), (["same"] * 22, "G001")])
def test_vocabulary_that_does_not_fit_is_an_error(words: List[str], code: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=code):
        convert(random_state(), tmp_path, vocab=words)


@pytest.mark.parametrize("n_heads", [0, -1, 3, 64])
def test_heads_that_do_not_divide_are_an_error(n_heads: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"\[G225\] {n_heads} heads do not divide .* keys have width 32, features"):
        convert(random_state(), tmp_path, n_heads=n_heads)


@pytest.mark.parametrize("option", ["sparsity", "feature_predictor"])
def test_unknown_variant_is_an_error_with_the_known_ones(option: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"\[G100\] {option} = 'other' is not available. Choose one of"):
        convert(random_state(), tmp_path, **{option: "other"})


def drop(state: Arrays, name: str) -> None:
    del state[name]


@pytest.mark.parametrize(
    "damage, message",
    [
        (
            lambda state: drop(state, "st_predictor_fw.key_dot_trans.0.weight"),
            r"\[G222\].*key_dot_trans.0.weight is miss",
        ),
        (lambda state: state.clear() or state.update(other=np.zeros(1)), r"\[G222\].*Found: other\."),
        (lambda state: state.update({"enc_emb.weight": np.zeros(5, np.float32)}), r"\[G22[47]\]"),
        (
            lambda state: state.update({"st_predictor_bw.gru_cell.bias_hh": np.zeros(5, np.float32)}),
            r"\[G224\].*gru_cell.bias_hh \(5,\), expected \(48,\)",
        ),
        (
            lambda state: state.update({"st_predictor_bw.gru_cell.bias_hh": np.zeros(48, np.int64)}),
            r"\[G224\].*gru_cell.bias_hh",
        ),
        (lambda state: state["st_predictor_bw.key_cnn.0.0.weight"].fill(np.nan), r"\[G226\].*bw.key_cnn.0.0.weight"),
        (lambda state: state["enc_emb.weight"].fill(np.inf), r"\[G22[67]\]"),
        (lambda state: state["dec_net_bw.out.weight"].fill(0.5), r"\[G227\]"),
    ],
)
def test_bad_tensors_are_one_clear_error(damage: Callable[[Arrays], Any], message: str, tmp_path: Path) -> None:
    state = random_state()
    damage(state)
    with pytest.raises(ValueError, match=message):
        convert(state, tmp_path)


class NotTensors:
    """Something that only unpickling could restore."""


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("cut.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{", r"\[G201\].*truncated"),
        ("empty.safetensors", b"", r"\[G201\]"),
        ("cut.pt", b"PK\x03\x04rest is missing", r"\[G221\]"),
        ("empty.pt", b"", r"\[G221\]"),
        ("text.pt", b"no weights here", r"\[G221\]"),
        ("object.pt", pickle.dumps(json.JSONDecoder), r"\[G221\].*weights_only=True"),
    ],
)
def test_unreadable_file_is_one_clear_error(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        convert_official_glomo(tmp_path / name, tmp_path / "converted", n_heads=4, sparsity="relu")


@pytest.mark.parametrize(
    "saved, message",
    [
        (NotTensors(), "weights_only=True"),
        ({"epoch": 3}, "'epoch' is an object of type int"),
        ({}, "an empty dict"),
        ([torch.zeros(2)], "an object of type list"),
        ({"enc_emb.weight": torch.zeros(1).expand(10**9, 512)}, "larger than the file"),
        ({"enc_emb.weight": torch.zeros(2, 2).to_sparse()}, "layout torch.sparse_coo"),
        ({"a": torch.zeros(1), "module.a": torch.zeros(1)}, "with and without 'module.'"),
    ],
)
def test_pt_file_that_is_no_state_dict_is_one_clear_error(saved: Any, message: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "original.pt")
    with pytest.raises(ValueError, match=rf"\[G221\].*{message}"):
        convert_official_glomo(tmp_path / "original.pt", tmp_path / "converted", n_heads=4, sparsity="relu")


def test_truncated_safetensors_is_one_clear_error(tmp_path: Path) -> None:
    save_file(random_state(), tmp_path / "original.safetensors")
    whole = (tmp_path / "original.safetensors").read_bytes()
    (tmp_path / "original.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"\[G201\]"):
        convert_official_glomo(tmp_path / "original.safetensors", tmp_path / "out", n_heads=4, sparsity="relu")


def test_absent_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\[G220\]"):
        convert_official_glomo(tmp_path / "absent.pt", tmp_path / "converted", n_heads=4, sparsity="relu")


def test_every_name_rule_reads_in_both_directions() -> None:
    variants = [{"sparsity": "threshold"}, {"sparsity": "shifted-relu", "feature_predictor": "additive"}]
    used = set()
    for variant in variants:
        model = GlomoModel(GlomoConfig(vocab_size=5, width=4, n_heads=2, **variant))
        for name in set(model.state_dict()) - {"mix_weights"}:
            theirs = GLOMO.to_theirs(name)
            assert theirs is not None, name
            assert GLOMO.to_ours(theirs) == name
            used.add(next(index for index, rule in enumerate(GLOMO_RULES) if _fits(theirs, rule[0])))
    assert used == set(range(len(GLOMO_RULES))), "a rule that no weight uses"


def _fits(name: str, template: str) -> bool:
    parts, fields = name.split("."), template.split(".")
    return len(parts) == len(fields) and all(
        f in ("{i}", "{leaf}") or f == p for p, f in zip(parts, fields, strict=True)
    )
