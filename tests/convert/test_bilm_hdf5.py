"""Published biLMs in and out: equal vectors, equal bytes, and every variant of the files."""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import torch

from glomo_spacy.convert import convert_bilm, export_bilm
from glomo_spacy.convert.bilm_layout import n_parameters, variables
from glomo_spacy.indexers import CharIndexer, VocabularyIndexer
from glomo_spacy.models import load_checkpoint, read_checkpoint, save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig

h5py = pytest.importorskip("h5py")

FIXTURES = Path(__file__).parents[1] / "fixtures" / "elmo"
PUBLISHED = ("bilm_tf", "allennlp")  # without and with skip connections
TOLERANCE = 5e-6
WORDS = ["<S>", "</S>", "<UNK>", "the", "cat"]
SMALL: Dict[str, Any] = {
    "char_width": 3,
    "filters": ((1, 2), (3, 4)),
    "n_highway": 1,
    "projection_width": 4,
    "cell_width": 5,
}


@pytest.fixture(scope="module")
def expected() -> Dict[str, np.ndarray]:
    with np.load(FIXTURES / "expected.npz") as arrays:
        return dict(arrays)


def converted(name: str, folder: Path) -> Any:
    """A published model, by way of a checkpoint directory."""
    convert_bilm(FIXTURES / name / "weights.hdf5", folder / name)
    return load_checkpoint(folder / name)


def arrays_of(path: Path) -> Dict[str, np.ndarray]:
    found: Dict[str, np.ndarray] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def save(config: ElmoConfig, folder: Path, indexer: Any = None) -> Any:
    """A checkpoint with random weights. RETURNS: its model."""
    model = BiLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5)
    indexer = indexer or CharIndexer(max_characters=config.max_characters)
    words = list(indexer.words) if isinstance(indexer, VocabularyIndexer) else None
    save_checkpoint(folder, model, indexer=indexer.config, vocab=words, meta={})
    return load_checkpoint(folder)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_vectors_are_reproduced_when_the_state_is_carried(
    name: str, expected: Dict[str, np.ndarray], tmp_path: Path
) -> None:
    model = converted(name, tmp_path)
    streams = json.loads((FIXTURES / "sentences.json").read_text(encoding="utf8"))
    for place, batch in enumerate(zip(*streams)):
        for stream, layers in enumerate(model.layers(list(batch), state="carry")):
            np.testing.assert_allclose(layers[2], expected[f"{name}/{stream}/{place}"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", PUBLISHED)
def test_first_sentences_are_reproduced_with_zero_state(
    name: str, expected: Dict[str, np.ndarray], tmp_path: Path
) -> None:
    model = converted(name, tmp_path)
    streams = json.loads((FIXTURES / "sentences.json").read_text(encoding="utf8"))
    for stream, layers in enumerate(model.layers([sentences[0] for sentences in streams])):
        np.testing.assert_allclose(layers[2], expected[f"{name}/{stream}/0"], rtol=0, atol=TOLERANCE)


def test_published_token_vectors_are_reproduced(expected: Dict[str, np.ndarray], tmp_path: Path) -> None:
    words = (FIXTURES / "words.txt").read_text(encoding="utf8").split("\n")
    layers = converted("allennlp", tmp_path).layers([words])[0]
    assert len(words) == 458
    for half in (layers[0][:, :16], layers[0][:, 16:]):  # both directions share the token vectors
        np.testing.assert_allclose(half, expected["allennlp/words"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_written_again_are_equal_to_the_byte(name: str, tmp_path: Path) -> None:
    convert_bilm(FIXTURES / name / "weights.hdf5", tmp_path / "checkpoint")
    export_bilm(tmp_path / "checkpoint", tmp_path / "again")
    before, after = arrays_of(FIXTURES / name / "weights.hdf5"), arrays_of(tmp_path / "again" / "weights.hdf5")
    assert list(before) == list(after)
    for array_name, array in before.items():
        assert after[array_name].dtype == array.dtype
        assert after[array_name].shape == array.shape
        assert after[array_name].tobytes() == array.tobytes(), array_name
    options = json.loads((tmp_path / "again" / "options.json").read_text(encoding="utf8"))
    assert options == {**json.loads((FIXTURES / name / "options.json").read_text("utf8")), "bidirectional": True}


def test_writing_twice_gives_the_same_file(tmp_path: Path) -> None:
    save(ElmoConfig(**SMALL), tmp_path / "checkpoint")
    for name in ("one", "two"):
        export_bilm(tmp_path / "checkpoint", tmp_path / name)
    assert (tmp_path / "one" / "weights.hdf5").read_bytes() == (tmp_path / "two" / "weights.hdf5").read_bytes()


def test_the_forget_bias_is_not_part_of_the_stored_bias(tmp_path: Path) -> None:
    model = converted("bilm_tf", tmp_path)
    stored = arrays_of(FIXTURES / "bilm_tf" / "weights.hdf5")["RNN_0/RNN/MultiRNNCell/Cell1/LSTMCell/B"]
    assert np.array_equal(model.state_dict()["forward_lm.layers.1.bias"].numpy(), stored)
    assert model.config.forget_bias == 1


VARIANTS: Dict[str, Dict[str, Any]] = {
    "tanh": {"activation": "tanh"},
    "three layers": {"n_layers": 3},
    "one layer": {"n_layers": 1},
    "no clips": {"cell_clip": None, "proj_clip": None},
    "no skip connections": {"use_skip_connections": False},
    "no highway": {"n_highway": 0},
    "no projection": {"projection_width": 6},
    "short words": {"max_characters": 20},
    "forward only": {"directions": "forward"},
    "words": {"token_encoder": "words", "vocab_size": len(WORDS)},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_survives_the_way_out_and_in(variant: str, tmp_path: Path) -> None:
    changes = VARIANTS[variant]
    indexer = VocabularyIndexer(WORDS) if variant == "words" else None
    model = save(ElmoConfig(**{**SMALL, **changes}), tmp_path / "ours", indexer)
    export_bilm(tmp_path / "ours", tmp_path / "theirs")
    vocab = WORDS if variant == "words" else None
    made = convert_bilm(tmp_path / "theirs" / "weights.hdf5", tmp_path / "back", vocab=vocab)
    back = load_checkpoint(tmp_path / "back")
    assert {name: getattr(back.config, name) for name in changes} == changes
    assert made.n_weights == n_parameters(model.config) == sum(weight.numel() for weight in model.parameters())
    assert made.unused == []
    sentences = [["the", "cat", "über"], ["cat"]]
    for one, other in zip(model.layers(sentences), back.layers(sentences)):
        assert np.array_equal(one, other)


def test_every_weight_of_a_model_has_one_place_in_the_file() -> None:
    for changes in VARIANTS.values():
        config = ElmoConfig(**{**SMALL, **changes})
        places = [name for variable in variables(config) for name in variable.ours]
        assert sorted(places) == sorted(BiLM(config).state_dict())


@pytest.mark.parametrize("name, count", [("small", 13_593_296), ("medium", 28_027_728), ("original", 93_600_848)])
def test_parameters_of_the_released_sizes_are_counted_by_formula(name: str, count: int) -> None:
    assert n_parameters(ElmoConfig.sized(name)) == count


def change_file(folder: Path, change: Any) -> Path:
    """A copy of a published file, changed."""
    shutil.copyfile(FIXTURES / "bilm_tf" / "weights.hdf5", folder / "weights.hdf5")
    shutil.copyfile(FIXTURES / "bilm_tf" / "options.json", folder / "options.json")
    with h5py.File(folder / "weights.hdf5", "r+") as file:
        change(file)
    return folder / "weights.hdf5"


@pytest.mark.parametrize("n_characters", [261, 262])
@pytest.mark.parametrize("n_rows", [261, 262])
def test_either_number_of_characters_is_read(n_characters: int, n_rows: int, tmp_path: Path) -> None:
    def put_row_of_zeros_first(file: Any) -> None:
        table = file.pop("char_embed")[()]
        file["char_embed"] = np.concatenate([np.zeros((n_rows - len(table), 4), np.float32), table])

    weights = change_file(tmp_path, put_row_of_zeros_first)
    options = json.loads((tmp_path / "options.json").read_text(encoding="utf8"))
    options["char_cnn"]["n_characters"] = n_characters
    (tmp_path / "options.json").write_text(json.dumps(options), encoding="utf8")
    convert_bilm(weights, tmp_path / "out")
    as_published = converted("bilm_tf", tmp_path).state_dict()
    for name, weight in read_checkpoint(tmp_path / "out").state.items():
        assert torch.equal(weight, as_published[name])
    assert read_checkpoint(tmp_path / "out").model["n_characters"] == 262


def test_a_single_layer_is_read_under_the_name_it_is_dumped_with(tmp_path: Path) -> None:
    save(ElmoConfig(**SMALL, n_layers=1), tmp_path / "ours")
    export_bilm(tmp_path / "ours", tmp_path / "theirs")
    with h5py.File(tmp_path / "theirs" / "weights.hdf5", "r+") as file:
        for rnn in ("RNN_0", "RNN_1"):
            file.move(f"{rnn}/RNN/MultiRNNCell/Cell0/LSTMCell", f"{rnn}/RNN/LSTMCell")
    assert convert_bilm(tmp_path / "theirs" / "weights.hdf5", tmp_path / "back").unused == []
    before, after = read_checkpoint(tmp_path / "ours").state, read_checkpoint(tmp_path / "back").state
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_big_endian_and_chunked_arrays_are_read(tmp_path: Path) -> None:
    name = "RNN_0/RNN/MultiRNNCell/Cell0/LSTMCell/B"

    def store_otherwise(file: Any) -> None:
        values = file.pop(name)[()]
        file.create_dataset(name, data=values.astype(">f4"), chunks=(100,))

    convert_bilm(change_file(tmp_path, store_otherwise), tmp_path / "out")
    published = converted("bilm_tf", tmp_path).state_dict()
    assert torch.equal(
        read_checkpoint(tmp_path / "out").state["forward_lm.layers.0.bias"], published["forward_lm.layers.0.bias"]
    )


def test_arrays_of_other_things_are_left_out_and_named(tmp_path: Path) -> None:
    weights = change_file(tmp_path, lambda file: file.update({"softmax/W": np.zeros((3, 5)), "softmax/b": np.zeros(3)}))
    assert convert_bilm(weights, tmp_path / "out").unused == ["softmax/W", "softmax/b"]


def test_what_the_options_tell_of_training_is_kept(tmp_path: Path) -> None:
    options = json.loads((FIXTURES / "bilm_tf" / "options.json").read_text(encoding="utf8"))
    options.update(n_train_tokens=768_648_884, dropout=0.1, all_clip_norm_val=10.0, batch_size="much")
    (tmp_path / "options.json").write_text(json.dumps(options), encoding="utf8")
    convert_bilm(FIXTURES / "bilm_tf" / "weights.hdf5", tmp_path / "out", options=tmp_path / "options.json")
    meta = read_checkpoint(tmp_path / "out").meta
    assert (meta["source"], meta["n_train_tokens"], meta["dropout"]) == ("bilm-tf", 768_648_884, 0.1)
    assert "batch_size" not in meta


@pytest.mark.parametrize(
    "vocab, message",
    [
        (None, r"\[G230\].* 5 in all\. Name it with --vocab"),
        ([*WORDS, "more"], r"\[G230\].* 5 in all, not 6\."),
        (sorted(WORDS), r"\[G016\].*begin with the lines <S>, </S> and <UNK>"),
        ([*WORDS[:-1], "the"], r"\[G016\].*'the' more than once"),
    ],
)
def test_vocabulary_of_a_model_of_words_must_fit(vocab: List[str], message: str, tmp_path: Path) -> None:
    config = ElmoConfig(**SMALL, token_encoder="words", vocab_size=len(WORDS))
    save(config, tmp_path / "ours", VocabularyIndexer(WORDS))
    export_bilm(tmp_path / "ours", tmp_path / "theirs")
    assert (tmp_path / "theirs" / "vocab.txt").read_text(encoding="utf8").split() == WORDS
    with pytest.raises(ValueError, match=message):
        convert_bilm(tmp_path / "theirs" / "weights.hdf5", tmp_path / "back", vocab=vocab)
    assert not (tmp_path / "back").exists()


def test_softmax_is_named_and_left_out_of_hdf5(tmp_path: Path) -> None:
    save(ElmoConfig(**SMALL, softmax="full", vocab_size=7), tmp_path / "ours")
    assert export_bilm(tmp_path / "ours", tmp_path / "theirs").unused == ["softmax.weight", "softmax.bias"]
    assert not any("softmax" in name for name in arrays_of(tmp_path / "theirs" / "weights.hdf5"))


@pytest.mark.parametrize(
    "config, indexer, message",
    [
        ({"forget_bias": 0.5}, CharIndexer(), "its forget_bias is 0.5, and readers of such files add 1"),
        ({"n_characters": 9}, CharIndexer(alphabet="ab"), "it has learned an alphabet"),
    ],
)
def test_variants_that_bilm_tf_does_not_know_are_refused(
    config: Dict[str, Any], indexer: CharIndexer, message: str, tmp_path: Path
) -> None:
    save(ElmoConfig(**SMALL, **config), tmp_path / "ours", indexer)
    with pytest.raises(ValueError, match=rf"\[G229\].*{message}"):
        export_bilm(tmp_path / "ours", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_mogrifier_cells_are_refused(tmp_path: Path) -> None:
    save(ElmoConfig(**SMALL, cell="mogrifier"), tmp_path / "ours")
    with pytest.raises(ValueError, match=r"\[G229\].*its cells are 'mogrifier', and such files hold plain LSTM cells"):
        export_bilm(tmp_path / "ours", tmp_path / "theirs")


def test_another_folder_is_not_replaced_by_a_bilm(tmp_path: Path) -> None:
    save(ElmoConfig(**SMALL), tmp_path / "ours")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match=r"\[G231\]"):
        export_bilm(tmp_path / "ours", tmp_path / "letters")
    for _ in range(2):  # an earlier one is
        export_bilm(tmp_path / "ours", tmp_path / "theirs")
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["options.json", "weights.hdf5"]
