"""Frozen features that are computed once per text: equal to computing them each time, and never stale."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from thinc.api import Adam, Model

from glomo_spacy.architectures.cached import build_cached_v1
from glomo_spacy.architectures.combine import build_concat_v1
from glomo_spacy.architectures.elmo import build_elmo_v1, elmo_network
from glomo_spacy.architectures.feature_cache import CacheShim, FeatureCache
from glomo_spacy.architectures.glomo import build_glomo_graph_v1
from glomo_spacy.architectures.graph_transfer import build_graph_transfer_v1, build_uniform_graph_v1
from glomo_spacy.architectures.mogrifier import build_mogrifier_lm_v1, mogrifier_network
from glomo_spacy.architectures.scalar_mix import build_scalar_mix_v1
from glomo_spacy.architectures.word_vectors import build_word_vectors_v1

from ..tok2vecs import VOCAB, make_doc, word_rows

CACHED = "glomo_spacy.Cached.v1"
TEXTS = ["the small dog sees a cat .", "a big red cat hears the dog .", "the cat", "", "\n"]
TAGS = {"the": "DET", "a": "DET", "dog": "NOUN", "cat": "NOUN", "sees": "VERB", "hears": "VERB"}


def make_docs() -> List[Doc]:
    return [make_doc(text) if text else Doc(VOCAB) for text in TEXTS]


def cache_of(model: Model[Any, Any]) -> FeatureCache:
    (shim,) = [shim for node in model.walk() for shim in node.shims if isinstance(shim, CacheShim)]
    return shim.cache


class Counter:
    """Counts the Docs that a network computes."""

    def __init__(self, network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_docs = 0
        compute = network.states

        def counting(docs: List[Doc]) -> torch.Tensor:
            self.n_docs += len(docs)
            states: torch.Tensor = compute(docs)
            return states

        monkeypatch.setattr(network, "states", counting)

    def __call__(self) -> int:
        """Docs since the last time."""
        n_docs, self.n_docs = self.n_docs, 0
        return n_docs


@pytest.fixture(params=["elmo", "mogrifier"])
def build(request: pytest.FixtureRequest, elmo_checkpoint: str, mogrifier_checkpoint: str) -> Callable[..., Model]:
    """Makes a frozen model."""
    if request.param == "elmo":
        return partial(build_elmo_v1, pretrained=elmo_checkpoint, layers="all")
    return partial(build_mogrifier_lm_v1, pretrained=mogrifier_checkpoint)


def network_of(model: Model[Any, Any]) -> Any:
    return elmo_network(model) if model.name == "elmo" else mogrifier_network(model)


@pytest.fixture
def elmo(elmo_checkpoint: str) -> Model[Any, Any]:
    return build_cached_v1(build_elmo_v1(pretrained=elmo_checkpoint, layers="all"))


# --- equal -----------------------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_model_bit_for_bit(build: Callable[..., Model]) -> None:
    docs, plain, cached = make_docs(), build(), build_cached_v1(build())
    expected = plain.predict(docs)
    for _ in range(2):
        for found, rows in zip(cached.predict(docs), expected, strict=True):
            np.testing.assert_array_equal(found, rows)
    assert cached.predict([]) == []


def test_a_text_is_computed_once(build: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_cached_v1(build())
    computed = Counter(network_of(model), monkeypatch)
    model.predict(make_docs())
    assert computed() == len(TEXTS)
    model.predict(make_docs())
    assert computed() == 0
    model.predict([make_doc("a dog"), *make_docs(), make_doc("a dog")])
    assert computed() == 1


def test_rows_do_not_depend_on_batch_mates(build: Callable[..., Model]) -> None:
    docs, plain, cached = make_docs(), build(), build_cached_v1(build())
    cached.predict(docs[3:])
    cached.predict(docs[:2][::-1])
    for found, rows in zip(cached.predict(docs), plain.predict(docs), strict=True):
        np.testing.assert_allclose(found, rows, atol=1e-5)


def test_rows_may_be_written_to(elmo: Model[Any, Any]) -> None:
    docs = make_docs()
    expected = [rows.copy() for rows in elmo.predict(docs)]
    for rows in elmo.predict(docs):
        rows += 1.0
    for found, rows in zip(elmo.predict(docs), expected, strict=True):
        np.testing.assert_array_equal(found, rows)


def test_dropout_is_drawn_anew_as_without_a_cache(build: Callable[..., Model]) -> None:
    docs = make_docs()[:3]
    plain, cached = build(dropout=0.5), build_cached_v1(build(dropout=0.5))
    runs = []
    for model in (plain, cached):
        torch.manual_seed(0)
        runs.append([model.begin_update(docs)[0] for _ in range(3)])
    for expected, found in zip(*runs, strict=True):
        for rows, found_rows in zip(expected, found, strict=True):
            np.testing.assert_array_equal(found_rows, rows)
    assert not np.array_equal(runs[1][0][0], runs[1][1][0])


def test_threads_may_share_a_cached_model(elmo: Model[Any, Any]) -> None:
    docs = [make_doc(f"dog {number} sees a cat") for number in range(30)]
    expected = elmo.copy().predict(docs)
    cache_of(elmo).arrays.__init__(1 << 14)  # type: ignore[misc]  # empty, with room for a few
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: elmo.predict(docs), range(8)):
            for rows, expected_rows in zip(found, expected, strict=True):
                np.testing.assert_allclose(rows, expected_rows, atol=1e-5)


# --- never stale ------------------------------------------------------------------------------------------------------


def with_sentences(*starts: int) -> Doc:
    words = ["the", "dog", "sees", "a", "cat"]
    return Doc(VOCAB, words=words, sent_starts=[place in starts for place in range(len(words))])


@pytest.mark.parametrize(
    "other",
    [
        Doc(VOCAB, words=["the", "cat"]),
        Doc(VOCAB, words=["The", "dog"]),
        Doc(VOCAB, words=["the", " ", "dog"]),
        Doc(VOCAB, words=["the", "dog", " "]),
        Doc(VOCAB, words=["thedog"]),
        Doc(VOCAB, words=["the", "dog"], sent_starts=[True, True]),
    ],
    ids=["word", "casing", "whitespace between", "whitespace behind", "tokens", "sentences"],
)
def test_what_a_network_sees_otherwise_is_computed(
    other: Doc, build: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, expected = build_cached_v1(build()), build().predict([other])[0]
    model.predict([Doc(VOCAB, words=["the", "dog"])])
    computed = Counter(network_of(model), monkeypatch)
    np.testing.assert_array_equal(model.predict([other])[0], expected)
    assert computed() == 1


def test_what_no_network_sees_makes_no_difference(build: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_cached_v1(build())
    model.predict([Doc(VOCAB, words=["the", "dog"], spaces=[True, False])])
    computed = Counter(network_of(model), monkeypatch)
    model.predict([Doc(VOCAB, words=["the", "dog"], spaces=[False, True], tags=["DT", "NN"])])
    model.predict([Doc(spacy.blank("de").vocab, words=["the", "dog"])])
    assert computed() == 0


def test_sentences_count_only_where_they_are_read(build: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_cached_v1(build(sentences="ignore"))
    model.predict([with_sentences(0, 3)])
    computed = Counter(network_of(model), monkeypatch)
    model.predict([with_sentences(0, 2), make_doc("the dog sees a cat")])
    assert computed() == 0


def test_required_sentences_are_missed_in_a_known_text_too(build: Callable[..., Model]) -> None:
    model = build_cached_v1(build(sentences="require"))
    model.predict([with_sentences(0)])
    with pytest.raises(ValueError, match="G162"):
        model.predict([make_doc("the dog sees a cat")])


def test_other_weights_find_nothing(build: Callable[..., Model]) -> None:
    model, docs = build_cached_v1(build()), make_docs()[:1]
    before = model.predict(docs)[0]
    for parameter in network_of(model).network.parameters():
        parameter.data *= 1.5
    after = model.predict(docs)[0]
    assert not np.allclose(after, before)
    plain = build()
    for parameter in network_of(plain).network.parameters():
        parameter.data *= 1.5
    np.testing.assert_array_equal(after, plain.predict(docs)[0])


def test_a_folder_is_shared_by_equal_models_only(
    build: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = make_docs()
    expected = build_cached_v1(build(), path=str(tmp_path / "cache")).predict(docs)
    later = build_cached_v1(build(), max_mb=0, path=str(tmp_path / "cache"))
    computed = Counter(network_of(later), monkeypatch)
    for found, rows in zip(later.predict(docs), expected, strict=True):
        np.testing.assert_array_equal(found, rows)
    assert computed() == 0
    other = build_cached_v1(build(precision="bfloat16"), path=str(tmp_path / "cache"))
    computed_otherwise = Counter(network_of(other), monkeypatch)
    other.predict(docs)
    assert computed_otherwise() == len(TEXTS)


# --- a mixture that learns --------------------------------------------------------------------------------------------


MIXTURES: List[Dict[str, Any]] = [{}, {"layers_off": (1,)}, {"layer_norm": True}, {"l2": 0.5}, {"dropout": 0.5}]


@pytest.mark.parametrize("settings", MIXTURES, ids=str)
def test_a_mixture_learns_as_without_a_cache(
    settings: Dict[str, Any], elmo_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, gradients and the weights they lead to; each text is computed once, though the mixture changes."""
    long_doc = make_doc(" ".join(["the dog sees a cat ."] * 100))
    docs, models = [*make_docs(), long_doc], []
    computed: List[Counter] = []
    for cache in (False, True):
        model = build_elmo_v1(pretrained=elmo_checkpoint, **settings)
        models.append(build_cached_v1(model) if cache else model)
        computed.append(Counter(elmo_network(model), monkeypatch))
        optimizer = Adam(0.1)
        torch.manual_seed(0)
        for _ in range(4):
            rows, backprop = model.begin_update(docs)
            backprop([2 * each - np.float32(0.1) for each in rows])
            model.finish_update(optimizer)
    plain, cached = (elmo_network(model) for model in models)
    assert [count() for count in computed] == [0, len(docs)]
    for name, weights in plain.mix.state_dict().items():
        assert weights.abs().sum() > 0.1
        np.testing.assert_allclose(cached.mix.state_dict()[name], weights, atol=1e-5, err_msg=name)
    for found, expected in zip(models[1].predict(docs), models[0].predict(docs), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layers_kept_by_one_mixture_serve_another(
    elmo_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds or tasks over the same texts share a folder, whatever each has learned."""
    docs, folder = make_docs(), str(tmp_path / "cache")
    one, other = (build_cached_v1(build_elmo_v1(pretrained=elmo_checkpoint), path=folder) for _ in range(2))
    rows = one.predict(docs)
    elmo_network(other).mix.gamma.data.fill_(2.0)
    computed = Counter(elmo_network(other), monkeypatch)
    for found, expected in zip(other.predict(docs), rows, strict=True):
        np.testing.assert_allclose(found, 2 * expected, rtol=1e-6)
    assert computed() == 0


# --- in a pipeline ----------------------------------------------------------------------------------------------------


def make_pipeline(elmo_checkpoint: str, *, cache: Optional[Dict[str, Any]]) -> Language:
    """A tagger on a learned mixture of frozen layers, with or without a cache."""
    nlp = spacy.blank("en")
    layers: Dict[str, Any] = {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": elmo_checkpoint, "layers": "all"}
    if cache is not None:
        layers = {"@architectures": CACHED, "tok2vec": layers, **cache}
    nlp.add_pipe("tok2vec", config={"model": layers})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 24, "upstream": "tok2vec"}
    mixed = {"@architectures": "glomo_spacy.ScalarMix.v1", "tok2vec": listener, "n_layers": 3}
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": mixed}})
    return nlp


def make_examples(nlp: Language) -> List[Example]:
    docs = [Doc(nlp.vocab, words=text.split(" ")) for text in TEXTS[:3]]
    return [Example.from_dict(doc, {"tags": [TAGS.get(token.text, "X") for token in doc]}) for doc in docs]


def train(nlp: Language, *, n_epochs: int = 4, **options: Any) -> None:
    spacy.util.fix_random_seed(0)
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(n_epochs):
        nlp.update(examples, sgd=optimizer, drop=0.2, **options)


def model_of(nlp: Language) -> Model[Any, Any]:
    model: Model[Any, Any] = nlp.get_pipe("tok2vec").model  # type: ignore[attr-defined]
    return model


FROZEN = {"exclude": ["tok2vec"], "annotates": ["tok2vec"]}


@pytest.mark.parametrize("options", [{}, FROZEN], ids=["part of the update", "frozen and annotating"])
def test_training_gives_the_same_weights_and_computes_each_text_once(
    options: Dict[str, Any], elmo_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, cached = (make_pipeline(elmo_checkpoint, cache=cache) for cache in (None, {}))
    computed = Counter(elmo_network(model_of(cached)), monkeypatch)
    train(plain, **options)
    train(cached, **options)
    assert computed() == 3
    for pipe in ("tok2vec", "tagger"):
        for found, expected in zip(cached.get_pipe(pipe).model.walk(), plain.get_pipe(pipe).model.walk(), strict=True):
            for name in expected.param_names:
                np.testing.assert_array_equal(found.get_param(name), expected.get_param(name))


def test_a_cache_is_not_stored(elmo_checkpoint: str) -> None:
    nlp = make_pipeline(elmo_checkpoint, cache={})
    empty = nlp.to_bytes()
    nlp.get_pipe("tok2vec").predict(make_docs())  # type: ignore[attr-defined]
    assert len(cache_of(model_of(nlp)).arrays) == len(TEXTS)
    assert nlp.to_bytes() == empty


@pytest.mark.parametrize("in_training_only, is_kept", [(True, 0), (False, 3)])
def test_a_loaded_pipeline_keeps_nothing_in_use_unless_asked(
    in_training_only: bool, is_kept: int, elmo_checkpoint: str, tmp_path: Path
) -> None:
    nlp = make_pipeline(elmo_checkpoint, cache={"in_training_only": in_training_only, "path": str(tmp_path / "cache")})
    train(nlp, n_epochs=1)
    nlp.to_disk(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline")
    cache_of(model_of(loaded)).arrays.folder = None  # its files would be found
    docs = list(loaded.pipe(TEXTS[:3]))
    assert len(cache_of(model_of(loaded)).arrays) == is_kept
    for doc, rows in zip(docs, model_of(nlp).predict(docs), strict=True):
        np.testing.assert_allclose(doc.tensor, rows, atol=1e-5)
    optimizer = loaded.resume_training()
    loaded.update(make_examples(loaded), sgd=optimizer)
    assert len(cache_of(model_of(loaded)).arrays) == 3


def test_copies_share_a_cache_and_pickles_begin_empty(elmo: Model[Any, Any]) -> None:
    docs = make_docs()
    expected = elmo.predict(docs)
    assert cache_of(elmo.copy()) is cache_of(elmo)
    for other in (pickle.loads(pickle.dumps(elmo)), copy.deepcopy(elmo)):
        assert len(cache_of(other).arrays) == 0
        assert cache_of(other).settings == cache_of(elmo).settings
        for found, rows in zip(other.predict(docs), expected, strict=True):
            np.testing.assert_array_equal(found, rows)


def test_listeners_replaced_by_copies_fill_one_cache(elmo_checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = make_pipeline(elmo_checkpoint, cache={})
    train(nlp, n_epochs=1)
    nlp.replace_listeners("tok2vec", "tagger", ["model.tok2vec.tok2vec"])
    inner = nlp.get_pipe("tagger").model.get_ref("tok2vec").layers[0]  # type: ignore[attr-defined]
    assert cache_of(inner) is cache_of(model_of(nlp))
    section = nlp.config["components"]["tagger"]["model"]["tok2vec"]["tok2vec"]
    assert section["@architectures"] == CACHED
    assert section["tok2vec"]["pretrained"] == elmo_checkpoint
    assert section["tok2vec"]["width"] == 24
    reloaded = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert [token.tag_ for token in reloaded("the cat")] == [token.tag_ for token in nlp("the cat")]


def test_processes_give_the_same(elmo_checkpoint: str) -> None:
    nlp = make_pipeline(elmo_checkpoint, cache={})
    train(nlp, n_epochs=1)
    texts = ["the small dog", "a cat .", "the dog hears"]
    together = [doc.tensor for doc in nlp.pipe(texts)]
    for found, rows in zip(nlp.pipe(texts, n_process=2, batch_size=2), together, strict=True):
        np.testing.assert_allclose(found.tensor, rows, atol=1e-5)


@pytest.mark.parametrize("factory", ["elmo", "mogrifier_lm"])
def test_a_factory_that_names_other_weights_keeps_the_cache(
    factory: str, elmo_checkpoint: str, mogrifier_checkpoint: str
) -> None:
    sections = {
        "elmo": ({"@architectures": "glomo_spacy.Elmo.v1", "pretrained": None, "layers": "all"}, elmo_checkpoint),
        "mogrifier_lm": ({"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": None}, mogrifier_checkpoint),
    }
    section, pretrained = sections[factory]
    config = {"model": {"@architectures": CACHED, "tok2vec": section}, "pretrained": pretrained}
    nlp = spacy.blank("en")
    model = nlp.add_pipe(factory, config=config).model  # type: ignore[attr-defined]
    model.predict([make_doc("the dog")])
    assert len(cache_of(model).arrays) == 1
    assert nlp.from_bytes(nlp.to_bytes())("the dog").has_annotation("TAG") is False


# --- graphs -----------------------------------------------------------------------------------------------------------


def make_transfer(graph: Model[Any, Any]) -> Model[Any, Any]:
    torch.manual_seed(0)
    model = build_graph_transfer_v1(word_rows(), graph, mixture="uniform")
    model.initialize(X=make_docs())
    return model


def test_graphs_are_computed_once_and_transfer_is_the_same(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = build_cached_v1(build_glomo_graph_v1(pretrained=checkpoint))
    plain, cached = make_transfer(build_glomo_graph_v1(pretrained=checkpoint)), make_transfer(graph)
    long_doc = make_doc(" ".join(["the dog sees a cat ."] * 70))  # over 400 tokens: in windows
    texts = [*make_docs(), make_doc("the \n dog"), long_doc]
    expected = plain.predict(texts)
    network = graph.shims[0].network.network
    ids: List[int] = []
    compute = network.iter_graphs

    def counting(batch: torch.Tensor, mask: torch.Tensor) -> Any:
        ids.extend(mask.sum(1).tolist())
        return compute(batch, mask)

    monkeypatch.setattr(network, "iter_graphs", counting)
    for _ in range(2):
        for found, rows in zip(cached.predict(texts), expected, strict=True):
            np.testing.assert_allclose(found, rows, atol=1e-6)
    # Nothing of empty texts; of the long one, windows from 0, 100, 200 and 220, the last one equal to the second.
    assert len(ids) == 3 + 1 + 3
    for found, rows in zip(cached.predict(texts[::-1])[::-1], expected, strict=True):
        np.testing.assert_allclose(found, rows, atol=1e-6)


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_look_ups_stay_as_they_are() -> None:
    for model in (build_word_vectors_v1(), build_uniform_graph_v1()):
        assert build_cached_v1(model) is model
        assert not model.shims


def test_weights_may_come_later(elmo_checkpoint: str) -> None:
    missing = build_cached_v1(build_elmo_v1(pretrained="no such checkpoint", layers="all"))
    with pytest.raises(ValueError, match="G120.*no such checkpoint"):
        missing.predict(make_docs())
    docs, whole = make_docs(), build_cached_v1(build_elmo_v1(pretrained=elmo_checkpoint, layers="all"))
    missing.from_bytes(whole.to_bytes())
    for found, rows in zip(missing.predict(docs), whole.predict(docs), strict=True):
        np.testing.assert_array_equal(found, rows)
    assert missing.get_dim("nO") == 24


def test_what_learns_is_refused(build: Callable[..., Model]) -> None:
    with pytest.raises(ValueError, match="G126.*trainable = true.*Set trainable = false"):
        build_cached_v1(build(trainable=True))


def test_a_state_that_is_carried_on_is_refused(elmo_checkpoint: str) -> None:
    with pytest.raises(ValueError, match='G128.*state = "zero"'):
        build_cached_v1(build_elmo_v1(pretrained=elmo_checkpoint, layers="all", state="carry"))


def test_other_models_are_refused_with_the_way_to_wrap_their_parts(elmo: Model[Any, Any]) -> None:
    listener = registry.architectures.get("spacy.Tok2VecListener.v1")(width=4, upstream="*")
    cnn = registry.architectures.get("spacy.HashEmbedCNN.v2")(
        width=8,
        depth=1,
        embed_size=10,
        window_size=1,
        maxout_pieces=2,
        subword_features=False,
        pretrained_vectors=None,
    )
    others = [cnn, listener, word_rows(), build_scalar_mix_v1(elmo, n_layers=3), build_concat_v1([elmo])]
    for model in others:
        with pytest.raises(ValueError, match="G127.*Concat.v1 over Cached.v1 over Elmo.v1") as refused:
            build_cached_v1(model)
        assert repr(model.name) in str(refused.value)


@pytest.mark.parametrize("name", ["max_mb", "max_disk_mb"])
def test_a_size_below_zero_is_refused(name: str, elmo_checkpoint: str) -> None:
    with pytest.raises(ValueError, match=f"G101.*{name}.*-1"):
        build_cached_v1(build_elmo_v1(pretrained=elmo_checkpoint, layers="all"), **{name: -1})
