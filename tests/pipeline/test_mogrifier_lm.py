"""The mogrifier_lm component: what each token costs, what travels with a Doc, and what might come next."""

import math
import multiprocessing
import pickle
import random
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from glomo_spacy.architectures.mogrifier import mogrifier_network
from glomo_spacy.architectures.mogrifier_network import Surprisal
from glomo_spacy.architectures.pretrained import packaged_names
from glomo_spacy.models import load_checkpoint
from glomo_spacy.pipeline import MogrifierLM
from glomo_spacy.pipeline.extensions import set_surprisal

TEXT = "The small dog \n sees a Skłodowska."
WORDS = ["The", "small", "dog", "sees", "a", "Skłodowska", "."]


def blank(pretrained: str, **settings: Any) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("mogrifier_lm", config={"pretrained": pretrained, **settings})
    return nlp


def bits_of(doc: Doc) -> List[float]:
    return [token._.surprisal for token in doc]


@pytest.fixture
def nlp(mogrifier_checkpoint: str) -> Language:
    return blank(mogrifier_checkpoint)


# --- What is set ------------------------------------------------------------------------------------------------------


def test_surprisal_is_what_the_model_scores_each_token_with(nlp: Language, mogrifier_checkpoint: str) -> None:
    doc = nlp(TEXT)
    scores = load_checkpoint(mogrifier_checkpoint).score([WORDS])[0]
    np.testing.assert_allclose([token._.surprisal for token in doc if not token.is_space], -scores[:-1], rtol=1e-5)
    assert doc[3]._.surprisal == 0.0  # whitespace
    assert [token._.is_lm_unknown for token in doc] == [token.text == "Skłodowska" for token in doc]
    assert sum(bits_of(doc)) == pytest.approx(-scores[:-1].sum(), rel=1e-5)


def test_perplexity_is_two_to_the_mean_over_all_tokens_but_whitespace(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert doc._.perplexity == pytest.approx(2 ** (sum(bits_of(doc)) / 7), rel=1e-5)


def test_a_rare_name_costs_its_spelling_too(nlp: Language, mogrifier_checkpoint: str) -> None:
    short, long = nlp("The dog sees Jo."), nlp("The dog sees Wolfeschlegelsteinhausen.")
    spelling = load_checkpoint(mogrifier_checkpoint).spelling
    difference = spelling.log2_probabilities(["Jo"])[0] - spelling.log2_probabilities(["Wolfeschlegelsteinhausen"])[0]
    assert long[3]._.surprisal - short[3]._.surprisal == pytest.approx(difference, rel=1e-4)
    assert long[3]._.surprisal > 10 * short[2]._.surprisal


def test_ends_of_sentences_are_in_no_tokens_surprisal(nlp: Language, mogrifier_checkpoint: str) -> None:
    plain = nlp("The dog sees. A cat hears.")
    assert [plain[start:]._.end_surprisal for start in (0, 4)] == [0.0, 0.0]
    nlp.add_pipe("sentencizer", first=True)
    doc = nlp("The dog sees. \n A cat hears. ")
    words = ["The", "dog", "sees", ".", "</S>", "A", "cat", "hears", "."]
    scores = -load_checkpoint(mogrifier_checkpoint).score([words])[0]
    words_bits = [*scores[:4], *scores[5:9]]
    np.testing.assert_allclose([token._.surprisal for token in doc if not token.is_space], words_bits, rtol=1e-5)
    np.testing.assert_allclose([part._.end_surprisal for part in doc.sents], scores[[4, 9]], rtol=1e-5)
    assert doc[:]._.end_surprisal == pytest.approx(scores[4] + scores[9], rel=1e-5)
    assert doc[0:2]._.end_surprisal == 0.0
    assert doc._.perplexity == pytest.approx(2 ** (sum(words_bits) / 8), rel=1e-4)


def test_a_docs_cost_is_that_of_its_tokens_and_ends_together(nlp: Language, mogrifier_checkpoint: str) -> None:
    nlp.add_pipe("sentencizer", first=True)
    doc = nlp("A cat sees. The dog hears. A dog.")
    words: List[str] = []
    for sentence in doc.sents:
        words += [*(token.text for token in sentence), "</S>"]
    expected = -load_checkpoint(mogrifier_checkpoint).score([words[:-1]])[0].sum()
    assert sum(bits_of(doc)) + doc[:]._.end_surprisal == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("text, n_tokens", [("", 0), (" \n ", 1), ("\n\n\n", 1)])
def test_texts_without_words_cost_nothing_and_have_no_perplexity(text: str, n_tokens: int, nlp: Language) -> None:
    doc = nlp(text)
    assert bits_of(doc) == [0.0] * n_tokens
    assert math.isnan(doc._.perplexity)
    assert doc[:]._.end_surprisal == 0.0


def test_a_perplexity_beyond_any_float_is_infinite(nlp: Language) -> None:
    doc = nlp("Donau" * 100)
    assert bits_of(doc)[0] > 1024
    assert doc._.perplexity == math.inf


def test_states_are_kept_if_asked(mogrifier_checkpoint: str) -> None:
    doc = blank(mogrifier_checkpoint, keep_states=True)(TEXT)
    expected = load_checkpoint(mogrifier_checkpoint).states([WORDS])[0]
    np.testing.assert_allclose(doc._.mogrifier_states[[0, 1, 2, 4, 5, 6, 7]], expected, atol=1e-6)
    assert not doc._.mogrifier_states[3].any()
    assert blank(mogrifier_checkpoint)(TEXT)._.mogrifier_states is None


def test_without_the_component_nothing_is_said() -> None:
    doc = spacy.blank("en")(TEXT)
    said = doc[0]._.surprisal, doc[0]._.is_lm_unknown, doc._.perplexity, doc._.mogrifier_states, doc[:]._.end_surprisal
    assert said == (None,) * 5


def test_the_packaged_weights_are_the_default() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("mogrifier_lm")
    assert nlp.config["components"]["mogrifier_lm"]["model"]["pretrained"] == "mogrifier_en_sm"
    assert isinstance(nlp.get_pipe("mogrifier_lm"), MogrifierLM)


def test_analyze_pipes_knows_what_is_assigned(nlp: Language) -> None:
    assigned = nlp.analyze_pipes()["summary"]["mogrifier_lm"]["assigns"]
    assert sorted(assigned) == [
        "doc._.mogrifier_states",
        "doc._.perplexity",
        "span._.end_surprisal",
        "token._.is_lm_unknown",
        "token._.surprisal",
    ]


@pytest.mark.skipif("mogrifier_en_sm" not in packaged_names(), reason="the weights are not in this installation")
def test_the_packaged_model_is_surprised_by_rare_words_and_by_disorder() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("mogrifier_lm")
    texts = [
        "The city lies on the river and has a population of about 20,000 people.",
        "She was born in the north of the country, where her father was a teacher at the local school.",
        "In 1898 Skłodowska published a paper on pitchblende and torbernite with her husband.",
        "The first season of the series was shown on television in the United States.",
        "He studied law at the university before he became a member of the Bundesverfassungsgericht.",
    ]
    docs = list(nlp.pipe(texts))
    tokens = [token for doc in docs for token in doc]
    unknown = [token._.surprisal for token in tokens if token._.is_lm_unknown]
    known = [token._.surprisal for token in tokens if not token._.is_lm_unknown]
    assert np.mean(unknown) > 2 * np.mean(known)
    for doc in docs:
        shuffled = nlp.get_pipe("mogrifier_lm")(
            Doc(nlp.vocab, words=random.sample([token.text for token in doc], len(doc)))
        )
        assert shuffled._.perplexity > doc._.perplexity


# --- Independence -----------------------------------------------------------------------------------------------------


def test_pipe_gives_the_same_as_one_call_per_text_in_order(nlp: Language) -> None:
    texts = [TEXT, "", "Red.", "  \n", "a dog sees " * 100, TEXT]
    for doc, text in zip(nlp.pipe(texts, batch_size=4), texts):
        assert doc.text == text
        np.testing.assert_allclose(bits_of(doc), bits_of(nlp(text)), atol=1e-4)
    assert list(nlp.pipe([])) == []
    assert nlp.get_pipe("mogrifier_lm").predict([]) == []


def test_added_whitespace_changes_no_other_token(nlp: Language) -> None:
    words = random.choices(WORDS, k=30)
    spaced = ["\n"]
    for word in words:
        spaced += [word] + random.choice([[], ["\n"], ["  ", "\n\n"]])
    plain, docs = Doc(nlp.vocab, words=words), [Doc(nlp.vocab, words=spaced)]
    for doc in nlp.get_pipe("mogrifier_lm").pipe([plain, *docs]):
        np.testing.assert_allclose(
            [token._.surprisal for token in doc if not token.is_space], bits_of(plain), rtol=1e-5
        )
        assert doc._.perplexity == pytest.approx(plain._.perplexity, rel=1e-5)


# --- Travelling with the Doc ------------------------------------------------------------------------------------------


def test_what_is_said_travels_with_the_doc(mogrifier_checkpoint: str) -> None:
    nlp = blank(mogrifier_checkpoint, keep_states=True)
    doc = nlp(TEXT)
    stored = DocBin(store_user_data=True, docs=[doc, nlp("")]).to_bytes()
    ways = [Doc(nlp.vocab).from_bytes(doc.to_bytes()), pickle.loads(pickle.dumps(doc)), doc.copy()]
    for other in (*ways, next(DocBin().from_bytes(stored).get_docs(nlp.vocab))):
        assert bits_of(other) == bits_of(doc)
        assert [token._.is_lm_unknown for token in other] == [token._.is_lm_unknown for token in doc]
        assert other._.perplexity == doc._.perplexity
        np.testing.assert_array_equal(other._.mogrifier_states, doc._.mogrifier_states)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_two_processes_give_the_same_as_one(method: str, nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    monkeypatch.setattr("spacy.language.mp", multiprocessing.get_context(method))
    texts = [TEXT, "", "Red dog.", TEXT + " " + TEXT]
    for doc, expected in zip(nlp.pipe(texts, n_process=2, batch_size=2), list(nlp.pipe(texts)), strict=True):
        assert doc.text == expected.text
        np.testing.assert_allclose(bits_of(doc), bits_of(expected), atol=1e-4)


def test_merged_tokens_are_a_clear_error(mogrifier_checkpoint: str) -> None:
    doc = blank(mogrifier_checkpoint, keep_states=True)(TEXT)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:3])
    reads = (
        lambda: doc[0]._.surprisal,
        lambda: doc[0]._.is_lm_unknown,
        lambda: doc._.perplexity,
        lambda: doc._.mogrifier_states,
        lambda: doc[2:]._.end_surprisal,
    )
    for read in reads:
        with pytest.raises(ValueError, match=r"G063.*8 tokens.*now has 7.*Place mogrifier_lm after"):
            read()
    with doc.retokenize() as retokenizer:
        retokenizer.split(doc[0], ["T", "he"], heads=[doc[0], doc[0]])
    for read in (lambda: doc[1]._.surprisal, lambda: doc[:3]._.end_surprisal, lambda: doc._.perplexity):
        with pytest.raises(ValueError, match=r"G063.*other boundaries"):
            read()


def test_what_is_said_of_another_text_cannot_be_set(nlp: Language) -> None:
    doc = nlp("red dog")
    with pytest.raises(ValueError, match=r"G063.*belongs to 3 tokens, but the Doc now has 2"):
        set_surprisal(doc, Surprisal(np.zeros(3), np.zeros(3), np.zeros(3, dtype=bool)))
    set_surprisal(doc, None)
    assert doc[0]._.surprisal is None


# --- What might come next ---------------------------------------------------------------------------------------------


def test_candidates_are_the_likeliest_next_words(nlp: Language, mogrifier_checkpoint: str) -> None:
    component, lm = nlp.get_pipe("mogrifier_lm"), load_checkpoint(mogrifier_checkpoint)
    found = component.candidates("The small", n=4)
    chances = {word: lm.score([["The", "small", word]])[0][2] for word in lm.indexer.words[3:]}
    assert [word for word, _ in found if word != "</S>"] == sorted(chances, key=lambda word: -chances[word])[
        : sum(word != "</S>" for word, _ in found)
    ]
    for word, chance in found:
        assert word == "</S>" or chance == pytest.approx(chances[word], rel=1e-4)
    assert component.candidates(nlp.make_doc("The small"), n=4) == found
    assert len(component.candidates("")) == 10


def test_the_last_sentence_of_a_prefix_is_still_open(nlp: Language, mogrifier_checkpoint: str) -> None:
    component, lm = nlp.get_pipe("mogrifier_lm"), load_checkpoint(mogrifier_checkpoint)
    doc = Doc(nlp.vocab, words=["A", "cat", ".", "The", "dog"], sent_starts=[True, False, False, True, False])
    assert component.candidates(doc) == lm.candidates(["A", "cat", ".", "</S>", "The", "dog"])


def test_alternatives_are_ordered_by_how_likely_they_are(nlp: Language, mogrifier_checkpoint: str) -> None:
    texts = ["The dog sees a cat.", "dog The a sees cat.", "The dog sees a Katze."]
    found = nlp.get_pipe("mogrifier_lm").rescore([texts[0], nlp.make_doc(texts[1]), texts[2]])
    scores = load_checkpoint(mogrifier_checkpoint).score([[token.text for token in nlp(text)] for text in texts])
    totals = [float(score.sum()) for score in scores]
    assert [place for place, _ in found] == sorted(range(3), key=lambda place: -totals[place])
    assert [total for _, total in found] == pytest.approx(sorted(totals, reverse=True), rel=1e-5)
    assert found[-1][0] == 2


def test_texts_need_a_tokeniser(nlp: Language) -> None:
    component = MogrifierLM(nlp.vocab, nlp.get_pipe("mogrifier_lm").model)
    assert component.candidates(nlp.make_doc("The"))
    for use in (component.candidates, lambda text: component.rescore([text])):
        with pytest.raises(ValueError, match="G064.*take Docs.*got 'The dog'"):
            use("The dog")
    with pytest.raises(ValueError, match="G064.*got None"):
        nlp.get_pipe("mogrifier_lm").candidates(None)


# --- Training and failure ---------------------------------------------------------------------------------------------


def test_update_and_initialize_leave_the_component_as_it_is(mogrifier_checkpoint: str) -> None:
    nlp = blank(mogrifier_checkpoint, model={"trainable": True})
    assert mogrifier_network(nlp.get_pipe("mogrifier_lm").model).settings.trainable
    nlp.add_pipe("tagger").add_label("X")
    before = nlp.get_pipe("mogrifier_lm").to_bytes()
    example = Example.from_dict(nlp.make_doc("a dog"), {"tags": ["X", "X"]})
    optimizer = nlp.initialize(lambda: [example])
    nlp.update([example], sgd=optimizer, losses={}, annotates=["mogrifier_lm"])
    assert not nlp.get_pipe("mogrifier_lm").is_trainable
    assert nlp.get_pipe("mogrifier_lm").to_bytes() == before


def test_a_failing_document_reaches_the_error_handler_and_the_stream_goes_on(mogrifier_checkpoint: str) -> None:
    nlp, failed = blank(mogrifier_checkpoint, model={"sentences": "require"}), []
    nlp.set_error_handler(lambda name, proc, docs, error: failed.append((name, str(error)[:6])))
    assert [doc.text for doc in nlp.pipe(["dog", "red cat", "cat"], batch_size=1)] == ["dog", "cat"]
    assert failed == [("mogrifier_lm", "[G162]")]


def test_another_kind_of_model_is_refused_by_name(mogrifier_checkpoint: str) -> None:
    inner = {"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": mogrifier_checkpoint}
    model = {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"lm": inner}}
    for settings in ({}, {"pretrained": mogrifier_checkpoint}):
        with pytest.raises(ValueError, match=r"G062.*glomo_spacy.MogrifierLM.v1, but got 'concat'"):
            spacy.blank("en").add_pipe("mogrifier_lm", config={"model": model, **settings})


# --- Features for other components ------------------------------------------------------------------------------------

TAGS = {"play": "NOUN", "the": "DET", "a": "DET", "big": "ADJ", "dog": "OBJ", "sees": "VERB"}
SENTENCES = ["big play dog", "The sees the play", "The play the dog", "big sees a play", "a play"]


def examples_for(nlp: Language) -> List[Example]:
    """A word whose tag only what stands before it tells."""
    examples = []
    for text in SENTENCES:
        words = text.split()
        tags = [
            "VERB" if word == "play" and words[place - 1] in ("big", "The") else TAGS.get(word, "PRON")
            for place, word in enumerate(words)
        ]
        examples.append(Example.from_dict(nlp.make_doc(text), {"tags": tags}))
    return examples


@pytest.mark.parametrize("trainable", [False, True], ids=["frozen", "trainable"])
def test_a_stock_tagger_on_the_features_is_saved_and_reloaded_without_any_other_file(
    trainable: bool, mogrifier_checkpoint: str, tmp_path: Path
) -> None:
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    features = {"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": mogrifier_checkpoint}
    nlp.add_pipe("tok2vec", config={"model": {**features, "trainable": trainable}})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "tok2vec"}
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}})
    before = nlp.get_pipe("tok2vec").model.to_bytes()
    examples = examples_for(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.05 if trainable else 0.3
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    assert nlp.evaluate(examples_for(nlp))["tag_acc"] > 0.9
    assert (nlp.get_pipe("tok2vec").model.to_bytes() == before) == (not trainable)
    nlp.config["components"]["tok2vec"]["model"]["pretrained"] = "no such checkpoint"
    nlp.to_disk(tmp_path / "saved")
    reloaded = spacy.load(tmp_path / "saved")
    for doc, expected in zip(reloaded.pipe(SENTENCES), nlp.pipe(SENTENCES), strict=True):
        np.testing.assert_array_equal(doc.tensor, expected.tensor)
        assert [token.tag_ for token in doc] == [token.tag_ for token in expected]
