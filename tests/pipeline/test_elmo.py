"""The elmo component: what it sets on a Doc, how it shares the pipeline with others, and what it refuses."""

import multiprocessing
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from glomo_spacy.architectures.elmo import elmo_network
from glomo_spacy.pipeline import Elmo, set_vector_hooks

TEXT = "The small dog \n sees a big red cat."
CNN = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 8,
    "depth": 1,
    "embed_size": 50,
    "window_size": 1,
    "maxout_pieces": 1,
    "subword_features": False,
    "pretrained_vectors": None,
}


def blank(pretrained: str, **settings: Any) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"pretrained": pretrained, **settings})
    return nlp


def tagger(upstream: str, **mix: Any) -> Dict[str, Any]:
    """A stock tagger that listens, with a mixture of its own if one is described."""
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 24 if mix else 8, "upstream": upstream}
    tok2vec = {"@architectures": "glomo_spacy.ScalarMix.v1", "tok2vec": listener, **mix} if mix else listener
    return {"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}}


def rows_of(nlp: Language, doc: Doc) -> np.ndarray:
    return nlp.get_pipe("elmo").model.predict([doc])[0]


@pytest.fixture
def nlp(elmo_checkpoint: str) -> Language:
    return blank(elmo_checkpoint)


# --- What is set ------------------------------------------------------------------------------------------------------


def test_the_tensor_holds_a_row_per_token_and_vectors_follow(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert doc.tensor.shape == (len(doc), 8)
    np.testing.assert_array_equal(doc.tensor, rows_of(nlp, doc))
    np.testing.assert_array_equal(doc[1].vector, doc.tensor[1])
    np.testing.assert_allclose(doc[1:3].vector, doc.tensor[1:3].mean(0), atol=1e-6)
    np.testing.assert_allclose(doc.vector, doc.tensor.mean(0), atol=1e-6)
    assert not doc[3].vector.any()  # whitespace


def test_the_packaged_weights_are_the_default() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo")
    assert nlp.config["components"]["elmo"]["model"]["pretrained"] == "elmo_en_sm"
    assert isinstance(nlp.get_pipe("elmo"), Elmo)


def test_settings_of_the_model_stay_with_the_short_form_of_its_weights(elmo_checkpoint: str) -> None:
    nlp = blank(elmo_checkpoint, model={"layers": "all", "dropout": 0.3, "trainable": True})
    assert nlp("A dog").tensor.shape == (2, 24)
    model = nlp.get_pipe("elmo").model
    assert elmo_network(model).settings.trainable
    assert model.attrs["dropout_rate"] == 0.3


def test_layers_are_kept_if_asked_and_travel_with_the_doc(elmo_checkpoint: str, tmp_path: Path) -> None:
    nlp = blank(elmo_checkpoint, keep_layers=True)
    doc = nlp(TEXT)
    layers = doc._.elmo_layers
    assert layers.shape == (3, len(doc), 8)
    np.testing.assert_allclose(layers.mean(0), doc.tensor, atol=1e-6)
    stored = DocBin(store_user_data=True, docs=[doc]).to_bytes()
    for other in (Doc(nlp.vocab).from_bytes(doc.to_bytes()), *DocBin().from_bytes(stored).get_docs(nlp.vocab)):
        np.testing.assert_array_equal(other._.elmo_layers, layers)
    docs = list(nlp.pipe(["", " ", TEXT, "Red."]))
    assert [each._.elmo_layers.shape[1] for each in docs] == [0, 1, 10, 2]
    assert nlp.get_pipe("elmo").predict([]) == []


def test_layers_that_are_not_kept_are_none(nlp: Language) -> None:
    assert nlp(TEXT)._.elmo_layers is None
    assert spacy.blank("en")(TEXT)._.elmo_layers is None


def test_layers_of_other_tokens_are_a_clear_error(elmo_checkpoint: str) -> None:
    doc = blank(elmo_checkpoint, keep_layers=True)(TEXT)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[5:7])
    with pytest.raises(ValueError, match=r"G164.*10 tokens.*now has 9.*Place elmo after"):
        assert doc._.elmo_layers
    with pytest.raises(ValueError, match=r"G164.*3 tokens"):
        doc._.elmo_layers = np.zeros((2, 3, 4), dtype="f")
    doc._.elmo_layers = None
    assert doc._.elmo_layers is None


def test_layers_can_only_be_kept_of_a_plain_elmo_model(elmo_checkpoint: str) -> None:
    inner = {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": elmo_checkpoint}
    model = {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"elmo": inner}}
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": model})
    assert nlp(TEXT).tensor.shape == (10, 8)
    for settings in ({"keep_layers": True}, {"pretrained": elmo_checkpoint}):
        with pytest.raises(ValueError, match=r"G166.*got 'concat'"):
            spacy.blank("en").add_pipe("elmo", config={"model": model, **settings})


def test_analyze_pipes_knows_what_is_assigned(nlp: Language) -> None:
    assert nlp.analyze_pipes()["summary"]["elmo"]["assigns"] == ["doc.tensor", "doc._.elmo_layers"]


# --- Vectors beside static ones ---------------------------------------------------------------------------------------


def with_static_vectors(nlp: Language) -> Language:
    for word in ("The", "dog", "cat"):
        nlp.vocab.set_vector(word, np.ones(3, dtype="f"))
    return nlp


def test_static_vectors_do_not_hide_contextual_ones(nlp: Language) -> None:
    tensor = nlp(TEXT).tensor
    doc, other = (with_static_vectors(nlp)(text) for text in (TEXT, "A dog hears a small cat."))
    for part, rows in ((doc, tensor), (doc[1:3], tensor[1:3]), (doc[1], tensor[1:2])):
        np.testing.assert_allclose(part.vector, rows.mean(0), atol=1e-6)
        assert part.vector_norm == pytest.approx(float(np.linalg.norm(part.vector)))
        assert part.has_vector
    for part, others in ((doc, other), (doc[2], other[1]), (doc[1:3], other[3:]), (doc[2], other)):
        cosine = part.vector @ others.vector / np.linalg.norm(part.vector) / np.linalg.norm(others.vector)
        assert part.similarity(others) == pytest.approx(float(cosine), abs=1e-5)
    assert doc[2].similarity(other[1]) < 0.999  # the same word in another context
    assert doc[3].similarity(doc[2]) == 0.0  # whitespace has no direction
    assert doc[2:3].as_doc().vector == pytest.approx(doc.tensor[2])
    assert not nlp("").has_vector
    assert not nlp("").vector.any()


def test_without_static_vectors_no_hooks_are_set_that_spacy_would_warn_of(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert not doc.user_hooks
    assert Doc(nlp.vocab).from_bytes(doc.to_bytes()).vector == pytest.approx(doc.vector)


def test_hooks_that_spacy_dropped_can_be_added_again(nlp: Language) -> None:
    doc = with_static_vectors(nlp)(TEXT)
    with pytest.warns(UserWarning, match="W109"):
        stored = doc.to_bytes()
    read = Doc(nlp.vocab).from_bytes(stored)
    assert read[0].vector.tolist() == [1, 1, 1]
    set_vector_hooks(read)
    np.testing.assert_array_equal(read[0].vector, doc.tensor[0])


def test_a_vector_that_was_asked_for_before_is_not_remembered(nlp: Language) -> None:
    doc = nlp.make_doc("red dog")
    doc.tensor = np.ones((2, 8), dtype="f")
    assert doc.vector.tolist() == [1] * 8
    nlp.get_pipe("elmo")(doc)
    np.testing.assert_allclose(doc.vector, doc.tensor.mean(0), atol=1e-6)


# --- Streams ----------------------------------------------------------------------------------------------------------


def test_pipe_gives_the_same_as_one_call_per_text_in_order(nlp: Language) -> None:
    texts = [TEXT, "", "Red.", "  \n", "a b c " * 150, TEXT]
    for doc, text in zip(nlp.pipe(texts, batch_size=4), texts):
        assert doc.text == text
        np.testing.assert_allclose(doc.tensor, nlp(text).tensor, atol=1e-5)
    assert list(nlp.pipe([])) == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_two_processes_give_the_same_as_one(method: str, elmo_checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    monkeypatch.setattr("spacy.language.mp", multiprocessing.get_context(method))
    nlp = blank(elmo_checkpoint, keep_layers=True)
    texts = [TEXT, "", "Red dog.", TEXT + " " + TEXT]
    for doc, expected in zip(nlp.pipe(texts, n_process=2, batch_size=2), list(nlp.pipe(texts))):
        assert doc.text == expected.text
        np.testing.assert_allclose(doc.tensor, expected.tensor, atol=1e-5)
        np.testing.assert_allclose(doc._.elmo_layers, expected._.elmo_layers, atol=1e-5)


def test_sentences_come_from_a_component_before(nlp: Language) -> None:
    text = "A dog sees. The cat hears."
    whole = nlp(text).tensor
    nlp.add_pipe("sentencizer", first=True)
    doc = nlp(text)
    assert np.abs(doc.tensor - whole).max() > 1e-3
    for sentence in doc.sents:
        np.testing.assert_allclose(
            doc.tensor[sentence.start : sentence.end], rows_of(nlp, sentence.as_doc()), atol=1e-6
        )


def test_a_failing_document_reaches_the_error_handler_and_the_stream_goes_on(elmo_checkpoint: str) -> None:
    nlp, failed = blank(elmo_checkpoint, model={"sentences": "require"}), []
    nlp.set_error_handler(lambda name, proc, docs, error: failed.append((name, str(error)[:6])))
    assert [doc.text for doc in nlp.pipe(["dog", "red cat", "cat"], batch_size=1)] == ["dog", "cat"]
    assert failed == [("elmo", "[G162]")]


def test_carried_state_begins_anew_after_a_reset(elmo_checkpoint: str) -> None:
    nlp = blank(elmo_checkpoint, model={"state": "carry"})
    first, second = nlp(TEXT).tensor, nlp(TEXT).tensor
    assert np.abs(first - second).max() > 1e-4
    nlp.get_pipe("elmo").reset_state()
    np.testing.assert_array_equal(nlp(TEXT).tensor, first)


# --- Other components -------------------------------------------------------------------------------------------------


def test_elmo_works_at_the_end_of_a_pipeline_with_its_own_tok2vec(nlp: Language, elmo_checkpoint: str) -> None:
    published = spacy.blank("en")
    published.add_pipe("tok2vec", config={"model": CNN})
    published.add_pipe("tagger", config=tagger("tok2vec"))
    examples = [Example.from_dict(published.make_doc("the dog sees"), {"tags": ["D", "N", "V"]})]
    optimizer = published.initialize(lambda: examples)
    for _ in range(30):
        published.update(examples, sgd=optimizer)
    published.add_pipe("elmo", config={"pretrained": elmo_checkpoint})
    doc = published("the dog sees")
    assert [token.tag_ for token in doc] == ["D", "N", "V"]
    np.testing.assert_array_equal(doc.tensor, nlp("the dog sees").tensor)


@pytest.mark.parametrize("factory", ["tok2vec", "elmo"])
def test_a_later_component_that_would_overwrite_the_vectors_is_refused(factory: str, nlp: Language) -> None:
    with pytest.raises(ValueError, match=r"G160.*'later' stands after 'elmo'.*doc.tensor.*Concat"):
        nlp.add_pipe(factory, name="later")
    nlp.remove_pipe("later")
    assert nlp(TEXT).tensor.any()


def test_a_listener_that_would_read_the_wrong_vectors_is_refused(elmo_checkpoint: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": CNN})
    nlp.add_pipe("elmo", config={"pretrained": elmo_checkpoint})
    with pytest.raises(ValueError, match=r"G161.*'tagger' listens to 'tok2vec'.*vectors of 'elmo'"):
        nlp.add_pipe("tagger", config=tagger("tok2vec"))
    nlp.remove_pipe("tagger")
    nlp.add_pipe("tagger", before="elmo", config=tagger("tok2vec"))
    nlp.add_pipe("tagger", name="second", config=tagger("elmo"))
    assert nlp.get_pipe("elmo").listening_components == ["second"]


def test_a_config_that_would_overwrite_the_vectors_is_refused_when_read(nlp: Language) -> None:
    config = nlp.config.copy()
    config["nlp"]["pipeline"] = ["elmo", "later"]
    config["components"]["later"] = {"factory": "tok2vec", "model": CNN}
    with pytest.raises(ValueError, match="G160.*'later'"):
        spacy.blank("en").from_config(config)


def test_under_the_name_of_a_tok2vec_it_takes_its_place(elmo_checkpoint: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", name="tok2vec", config={"pretrained": elmo_checkpoint})
    nlp.add_pipe("tagger", config=tagger("tok2vec"))
    assert nlp.get_pipe("tok2vec").listening_components == ["tagger"]


# --- Training ---------------------------------------------------------------------------------------------------------

TAGS = {"play": "NOUN", "the": "DET", "a": "DET", "we": "PRON", "they": "PRON", "games": "OBJ", "saw": "VERB"}
SENTENCES = ["we play games", "they saw the play", "they play the games", "we saw a play", "a play"]


def examples_for(nlp: Language) -> List[Example]:
    """A word whose tag only its context tells."""
    examples = []
    for text in SENTENCES:
        words = text.split()
        tags = [
            "VERB" if word == "play" and words[at - 1] in ("we", "they") else TAGS[word]
            for at, word in enumerate(words)
        ]
        examples.append(Example.from_dict(nlp.make_doc(text), {"tags": tags}))
    return examples


def train(nlp: Language, *, steps: int = 40, exclude: List[str] = [], annotates: List[str] = []) -> None:  # noqa: B006
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.05
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer, exclude=exclude, annotates=annotates)


@pytest.mark.parametrize("way", ["frozen component", "frozen biLM", "trainable"])
def test_a_stock_tagger_trained_on_elmo_is_saved_and_reloaded_without_any_other_file(
    way: str, elmo_checkpoint: str, tmp_path: Path
) -> None:
    spacy.util.fix_random_seed(0)
    nlp = blank(elmo_checkpoint, model={"trainable": way == "trainable", "width": 8})
    nlp.add_pipe("tagger", config=tagger("elmo"))
    before = nlp.get_pipe("elmo").model.to_bytes()
    frozen = ["elmo"] if way == "frozen component" else []
    train(nlp, exclude=frozen, annotates=frozen)
    assert nlp.evaluate(examples_for(nlp))["tag_acc"] > 0.9
    assert (nlp.get_pipe("elmo").model.to_bytes() == before) == (way == "frozen component")
    nlp.config["components"]["elmo"]["model"]["pretrained"] = "no such checkpoint"
    nlp.config["components"]["elmo"]["pretrained"] = "no such checkpoint"
    nlp.to_disk(tmp_path / "saved")
    reloaded = spacy.load(tmp_path / "saved")
    for doc, expected in zip(reloaded.pipe(SENTENCES), nlp.pipe(SENTENCES)):
        np.testing.assert_array_equal(doc.tensor, expected.tensor)
        assert [token.tag_ for token in doc] == [token.tag_ for token in expected]


def test_fine_tuning_moves_the_bilm_and_the_frozen_one_stays(elmo_checkpoint: str) -> None:
    for trainable in (False, True):
        nlp = blank(elmo_checkpoint, model={"trainable": trainable})
        nlp.add_pipe("tagger", config=tagger("elmo"))
        bilm = elmo_network(nlp.get_pipe("elmo").model).network
        before = {name: tensor.clone() for name, tensor in bilm.state_dict().items()}
        train(nlp, steps=2)
        moved = [name for name, tensor in bilm.state_dict().items() if not (tensor == before[name]).all()]
        assert bool(moved) == trainable
        assert not trainable or {name.split(".")[0] for name in moved} == {"token_encoder", "forward_lm", "backward_lm"}


def test_each_task_learns_a_mixture_of_its_own(elmo_checkpoint: str) -> None:
    nlp = blank(elmo_checkpoint, model={"layers": "all", "trainable": True})
    nlp.add_pipe("tagger", name="first", config=tagger("elmo", n_layers=3))
    nlp.add_pipe("tagger", name="second", config=tagger("elmo", n_layers=3, layers_off=[0]))
    assert nlp.get_pipe("elmo").listening_components == ["first", "second"]
    train(nlp)
    mixes = [nlp.get_pipe(name).model.get_ref("tok2vec").get_param("weights") for name in ("first", "second")]
    assert mixes[1][0] == 0.0
    assert np.abs(mixes[0] - mixes[1]).min() > 1e-3
    assert nlp.evaluate(examples_for(nlp))["tag_acc"] > 0.9


def test_listeners_can_be_replaced_by_copies_that_name_what_was_read(elmo_checkpoint: str, tmp_path: Path) -> None:
    nlp = blank(elmo_checkpoint, model={"trainable": True})
    nlp.add_pipe("tagger", config=tagger("elmo"))
    train(nlp)
    expected = [[token.tag_ for token in nlp(text)] for text in SENTENCES]
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    nlp.remove_pipe("elmo")
    section = nlp.config["components"]["tagger"]["model"]["tok2vec"]
    assert (section["pretrained"], section["width"], section["trainable"]) == (elmo_checkpoint, 8, True)
    nlp.to_disk(tmp_path)
    assert [[token.tag_ for token in spacy.load(tmp_path)(text)] for text in SENTENCES] == expected


def test_empty_docs_are_ordinary_input_in_training(elmo_checkpoint: str) -> None:
    nlp = blank(elmo_checkpoint, model={"trainable": True})
    nlp.add_pipe("tagger", config=tagger("elmo"))
    train(nlp, steps=1)
    empty = [Example.from_dict(nlp.make_doc(text), {}) for text in ("", "")]
    nlp.update(empty)
    nlp.update([*empty, *examples_for(nlp)])
    assert np.isfinite(nlp(TEXT).tensor).all()
