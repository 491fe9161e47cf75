"""What is said of a pipeline before it is trained: each mistake with the lines that mend it, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from thinc.api import Config

from glomo_spacy.pipeline.checks import check_pipeline, find_mistakes

from .training_configs import CNN, SENTENCIZER, elmo, encoder, lines_of, listener, pipeline, tagger, training_config
from .training_mistakes import MISTAKES, concat, elmo_and_tagger, mix

CHECKED = {"before_init": {"@callbacks": "glomo_spacy.check_pipeline.v1"}}


def messages(config: Config) -> List[str]:
    return [finding.message for finding in find_mistakes(pipeline(config))]


def expect(found: List[str], *patterns: str) -> None:
    assert len(found) == len(patterns), found
    for message, pattern in zip(found, patterns):
        assert re.search(pattern, message, flags=re.DOTALL), message


def add_lines(config: Config, message: str) -> None:
    """Do what a message says."""
    lines = lines_of(message)
    assert lines
    for name, value in lines:
        section: Any = config
        *parents, setting = name.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[setting] = json.loads(value)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_once_and_the_lines_of_its_message_mend_it(mistake: str, elmo_checkpoint: str) -> None:
    config = MISTAKES[mistake].config(elmo_checkpoint)
    found = messages(config)
    expect(found, *MISTAKES[mistake].messages)
    for message in found:
        add_lines(config, message)
    config["components"] = {name: config["components"][name] for name in config["nlp"]["pipeline"]}
    expect(messages(config))


# --- No false alarms --------------------------------------------------------------------------------------------------


@Language.component("silent_splitter")
def silent_splitter(doc: Doc) -> Doc:
    """Might set sentence boundaries; it does not say."""
    return doc


RIGHT: Dict[str, Callable[[str], Config]] = {
    "elmo behind another encoder and its listener": lambda path: training_config(
        {"tok2vec": encoder(CNN), "tagger": tagger(listener()), "elmo": encoder(elmo(path), factory="elmo")}
    ),
    "two encoders, each before its listener": lambda path: training_config(
        {"a": encoder(elmo(path)), "tagger": tagger(listener("a")), "b": encoder(CNN), "late": tagger(listener("b"))}
    ),
    "a frozen encoder that annotates behind sentences that do": lambda path: training_config(
        {"sentencizer": SENTENCIZER, **elmo_and_tagger(path, sentences="require")},
        frozen=["elmo", "sentencizer"],
        annotating=["elmo", "sentencizer"],
    ),
    "a frozen encoder whose listeners are frozen too": lambda path: training_config(
        {**elmo_and_tagger(path), "late": tagger(CNN)}, frozen=["elmo", "tagger"]
    ),
    "sentences that are ignored": lambda path: training_config(
        {"sentencizer": SENTENCIZER, **elmo_and_tagger(path, sentences="ignore")}
    ),
    "sentences set behind the encoder": lambda path: training_config(
        {**elmo_and_tagger(path), "sentencizer": SENTENCIZER}
    ),
    "sentences that a function may set": lambda path: training_config(
        {"silent_splitter": {"factory": "silent_splitter"}, **elmo_and_tagger(path, sentences="require")}
    ),
    "a mixture of all layers": lambda path: training_config(
        {"elmo": encoder(elmo(path, layers="all")), "tagger": tagger(mix(listener("elmo", width=24), 3))}
    ),
    "a mixture of features of one width": lambda path: training_config(
        {"tagger": tagger(mix(concat(a=elmo(path), b=CNN), 2))}
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_what_is_right(name: str, elmo_checkpoint: str) -> None:
    expect(messages(RIGHT[name](elmo_checkpoint)))


def test_looking_leaves_a_pipeline_as_it_is(elmo_checkpoint: str) -> None:
    nlp = pipeline(MISTAKES["a frozen encoder behind a sentencizer, and neither annotates"].config(elmo_checkpoint))
    before, config = nlp.to_bytes(), nlp.config.to_str()
    assert find_mistakes(nlp)
    assert (nlp.to_bytes(), nlp.config.to_str()) == (before, config)


def test_in_python_the_lists_of_training_say_nothing(elmo_checkpoint: str) -> None:
    """There `nlp.update` is told what annotates. A config that names no corpus is judged by its pipeline alone."""
    config = training_config({"sentencizer": SENTENCIZER, **elmo_and_tagger(elmo_checkpoint)}, corpus=None)
    nlp = pipeline(config)
    assert find_mistakes(nlp) == []
    expect([finding.message for finding in find_mistakes(nlp, reads_config=True)], "G169")


# --- Weights ----------------------------------------------------------------------------------------------------------


def test_weights_that_cannot_be_read_are_named_with_their_component(elmo_checkpoint: str) -> None:
    components = {"elmo": encoder(elmo("no such checkpoint"), factory="elmo"), "tagger": tagger(listener("elmo"))}
    expect(messages(training_config(components)), r"^elmo: \[G120\].*G122.*'no such checkpoint'")
    components = {"tagger": tagger(elmo(elmo_checkpoint, width=12))}
    expect(messages(training_config(components)), r"^tagger: \[G120\].*G163.*width 8, .*width 12")


def weights_of(model: Dict[str, Any], path: Path) -> str:
    """Store an initialised model as `spacy pretrain` does."""
    nlp = pipeline(training_config({"tok2vec": encoder(model)}, corpus=None))
    nlp.initialize()
    path.write_bytes(nlp.get_pipe("tok2vec").model.to_bytes())
    return str(path)


def test_weights_that_spacy_would_pass_over_or_cannot_take_are_refused(elmo_checkpoint: str, tmp_path: Path) -> None:
    narrow, wide = (weights_of({**CNN, "width": width}, tmp_path / f"{width}.bin") for width in (8, 12))
    taking = {"pretraining": {"component": "tok2vec", "layer": ""}}
    stated = training_config({"tok2vec": encoder(CNN), "tagger": tagger(listener())})
    cases = [
        (narrow, taking, []),
        (narrow, {}, [r"G197.*8\.bin would be passed over.*\n\[pretraining\]\ncomponent = \"tok2vec\"$"]),
        (narrow, {"pretraining": {"component": "tok2vek", "layer": ""}}, [r"G197"]),
        (wide, taking, [r"G167.*12\.bin does not fit 'tok2vec': .*from 8 to 12"]),
        (str(tmp_path / "none.bin"), taking, [r"G167.*there is no such file"]),
        (weights_of(elmo(elmo_checkpoint), tmp_path / "elmo.bin"), taking, [r"G167.*mismatched structure"]),
    ]
    for path, sections, patterns in cases:
        expect(messages(Config({**stated, **sections, "initialize": {"init_tok2vec": path}})), *patterns)


def test_weights_that_will_be_filled_in_are_not_missed(elmo_checkpoint: str, tmp_path: Path) -> None:
    """Neither those of a frozen component nor those that `pretrained` did not bring."""
    for model in (CNN, elmo(elmo_checkpoint)):
        path = weights_of(model, tmp_path / "weights.bin")
        model = {**model, "pretrained": None} if "pretrained" in model else model
        sections = {"pretraining": {"component": "tok2vec", "layer": ""}, "initialize": {"init_tok2vec": path}}
        components = {"tok2vec": encoder(model), "tagger": tagger(listener())}
        expect(messages(training_config(components, frozen=["tok2vec"], annotating=["tok2vec"], **sections)))


@pytest.mark.parametrize("layers, n_layers, found", [("all", 2, 3), ("mixed", 2, 1)])
def test_a_mixture_that_would_cut_through_layers_is_refused(
    layers: str, n_layers: int, found: int, elmo_checkpoint: str
) -> None:
    width = 24 if layers == "all" else 8
    shared = {"elmo": encoder(elmo(elmo_checkpoint, layers=layers), factory="elmo")}
    heard = training_config({**shared, "tagger": tagger(mix(listener("elmo", width=width), n_layers))})
    owned = training_config({"tagger": tagger(mix(elmo(elmo_checkpoint, layers=layers), n_layers))})
    for config in (heard, owned):
        expect(messages(config), rf"G199.*'tagger' has n_layers = {n_layers}, .*holds {found} side by side")


# --- Vectors that nobody uses -----------------------------------------------------------------------------------------


def test_an_encoder_that_nothing_listens_to_is_pointed_out(elmo_checkpoint: str) -> None:
    config = training_config({"elmo": encoder(elmo(elmo_checkpoint), factory="elmo"), "tagger": tagger(CNN)})
    (message,) = messages(config)
    assert "G170" in message
    assert "'elmo'" in message
    config["components"]["tagger"]["model"]["tok2vec"] = {}
    add_lines(config, message)
    expect(messages(config))


def test_nothing_is_said_of_an_encoder_where_nothing_could_listen(elmo_checkpoint: str) -> None:
    shared = {"elmo": encoder(elmo(elmo_checkpoint), factory="elmo")}
    words = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": False, "ngram_size": 1, "length": 16}
    reader = {"@architectures": "glomo_spacy.ExtractiveQA.v1", "tok2vec": elmo(elmo_checkpoint)}
    for name, model in (("textcat", {**words, "no_output_layer": False}), ("extractive_qa", reader)):
        expect(messages(training_config({**shared, name: {"factory": name, "model": model}})))
    expect(messages(training_config({**shared, "tagger": tagger(CNN)}, frozen=["tagger"])))


# --- Where it is noticed ----------------------------------------------------------------------------------------------


def stored_docs(path: Path) -> Path:
    """Two Docs of two sentences each, to train and evaluate on."""
    vocab = spacy.blank("xx").vocab
    words = ["The", "dog", "sees", "a", "cat", ".", "It", "hears", "the", "dog", "."]
    tags = ["DT", "NN", "VBZ", "DT", "NN", ".", "PRP", "VBZ", "DT", "NN", "."]
    DocBin(docs=[Doc(vocab, words=words, tags=tags) for _ in range(2)]).to_disk(path)
    return path


def test_stock_training_refuses_all_errors_at_once_before_it_begins(elmo_checkpoint: str) -> None:
    """The corpus does not exist, so that anything later would fail otherwise."""
    components = {"elmo": encoder(elmo(elmo_checkpoint)), "tagger": tagger(listener("elmo", width=6))}
    config = training_config(components, frozen=["elmo"], initialize=CHECKED)
    with pytest.raises(ValueError, match=r"(?s)G194.*width = 8\n\n\[G193\].*annotating_components = \[\"elmo\"\]"):
        init_nlp(config)


def test_stock_training_warns_of_what_may_be_meant(elmo_checkpoint: str, tmp_path: Path) -> None:
    components = {"sentencizer": SENTENCIZER, "tagger": tagger(elmo(elmo_checkpoint))}
    config = training_config(components, initialize=CHECKED, corpus=stored_docs(tmp_path / "docs.spacy"))
    with pytest.warns(UserWarning, match="G169.*'sentencizer'"):
        init_nlp(config)


@pytest.mark.parametrize("way", ["frozen", "sourced"])
def test_what_spacy_switches_off_for_initialisation_is_still_there(
    way: str, elmo_checkpoint: str, tmp_path: Path
) -> None:
    """Frozen and sourced components are disabled while the callback looks."""
    corpus = stored_docs(tmp_path / "docs.spacy")
    components: Dict[str, Any] = {"sentencizer": SENTENCIZER, **elmo_and_tagger(elmo_checkpoint, sentences="require")}
    frozen: List[str] = []
    if way == "frozen":
        frozen = ["sentencizer", "elmo"]
    else:
        pipeline(training_config({"sentencizer": SENTENCIZER, "elmo": components["elmo"]})).to_disk(tmp_path / "nlp")
        for name in ("sentencizer", "elmo"):
            components[name] = {"source": str(tmp_path / "nlp")}
    annotating = ["sentencizer", "elmo"]
    config = training_config(components, frozen=frozen, annotating=annotating, initialize=CHECKED, corpus=corpus)
    nlp = init_nlp(config)
    train(nlp)
    assert nlp.get_pipe("tagger").labels


def test_elmo_looks_at_its_pipeline_without_being_told_to(elmo_checkpoint: str) -> None:
    nlp = pipeline(
        training_config({**elmo_and_tagger(elmo_checkpoint), "late": tagger(listener(width=6))}, corpus=None)
    )
    with pytest.raises(ValueError, match="G194.*'late' listens to rows of width 6, but 'elmo' gives rows of width 8"):
        nlp.initialize()


def test_a_right_pipeline_comes_back_from_the_check(elmo_checkpoint: str) -> None:
    nlp = pipeline(training_config(elmo_and_tagger(elmo_checkpoint)))
    assert check_pipeline(nlp) is nlp
