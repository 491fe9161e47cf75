"""The objective of the question-answering reader: what a run learns, keeps and refuses."""

import pytest
import torch

from glomo_spacy.cli._feature_folder import FeatureSettings
from glomo_spacy.cli.extract import extract
from glomo_spacy.corpora.feature_store import corpus_texts
from glomo_spacy.corpora.squad_corpus import SquadCorpus
from glomo_spacy.corpora.squad_prepare import prepare_squad
from glomo_spacy.evaluation.squad_scorer import score
from glomo_spacy.files import sha256_of
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.checkpoint import read_checkpoint
from glomo_spacy.models.qa.sources import load_sources
from glomo_spacy.training.initialize import initialize_from
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.objectives import build_objective
from glomo_spacy.training.reader_evaluation import Reading, answer, predict, some_questions
from glomo_spacy.training.reader_inputs import ReaderInputs

READING = Reading(max_context=60, stride=30, batch_tokens=512)


@pytest.fixture(scope="module")
def dev(questions):
    return SquadCorpus(questions).split("dev")


def test_a_reader_learns_where_answers_stand_and_its_checkpoint_answers_alike(tiny_reader, tmp_path, dev):
    result = pretrain(tiny_reader(pretraining__max_steps=100, pretraining__evaluate_every=100))
    assert result["f1"] > 80
    assert (result["best_score"], result["n_questions"]) == (result["f1"], 48)
    checkpoint = read_checkpoint(tmp_path / "run" / "model-best")
    assert (checkpoint.kind, checkpoint.model["word_width"]) == ("reader", 6)
    assert checkpoint.meta["metrics"]["exact_match"] == result["exact_match"]
    model = load_checkpoint(tmp_path / "run" / "model-best")
    indexer = WordIndexer.from_config(checkpoint.indexer, checkpoint.vocab)
    assert not model.words.weight[indexer.unknown_id].any()
    answers = predict(model, inputs_of(model, dev, indexer=indexer), dev, reading=READING)
    measures = score(dev.gold, answers)
    assert (measures["f1"], measures["exact_match"]) == (result["f1"], result["exact_match"])


def inputs_of(model, split, *, indexer=None):
    sources = load_sources(model.config)
    types = SquadCorpus(split.directory).types
    return ReaderInputs(types, model.config, indexer=indexer, graphs=sources.graphs, elmo=sources.elmo)


@pytest.fixture
def everything(tiny_reader, graph_checkpoint, elmo_checkpoint):
    """Make the tiny config of a reader with vectors, characters, a biLM and graphs."""

    def make(**overrides):
        frozen = {"model__graph_source": graph_checkpoint, "model__elmo_source": elmo_checkpoint}
        return tiny_reader(**{"model__graph": "inputs", **frozen, **overrides})

    return make


def untrained(config):
    """An objective whose weights are random and far from equal, in evaluation mode."""
    torch.manual_seed(0)
    objective = build_objective(config, seed=0)
    for parameter in objective.model.parameters():
        if parameter.requires_grad and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    objective.loss.eval()
    return objective


def test_answers_do_not_depend_on_batches_or_their_order(everything, dev):
    objective, device = untrained(everything()), torch.device("cpu")
    one_by_one, together = (
        answer(objective.model, objective.loss.inputs, dev, order, reading=Reading(18, 9, batch_tokens), device=device)
        for order, batch_tokens in ((range(12), 1), (range(11, -1, -1), 4096))
    )
    assert one_by_one.texts == together.texts
    assert one_by_one.losses == pytest.approx(together.losses, abs=1e-5)
    assert sorted(together.texts) == sorted(dev.ids[:12])


def test_held_out_figures_are_the_same_in_any_batches(everything):
    small, large = (
        untrained(everything(pretraining__evaluation__batch_tokens=size)).evaluate(torch.device("cpu"))
        for size in (64, 4096)
    )
    assert small["loss"] == pytest.approx(large["loss"], abs=1e-5)
    assert small == {**large, "loss": small["loss"]}


def test_the_loss_of_a_batch_is_that_of_its_questions_alone(everything):
    """Also that contexts are read once for several questions."""
    objective = untrained(everything(corpora__batch_size=8, corpora__questions_per_context=2))
    questions = objective.batches._questions
    batch = questions.batch(objective.batches._plan[0])
    assert len(batch.contexts) < 8
    with torch.no_grad():
        together = objective.loss(*batch)
        alone = [objective.loss(*questions.batch(objective.batches._plan[0][row : row + 1])) for row in range(8)]
    torch.testing.assert_close(together, torch.stack(alone).mean(), atol=1e-5, rtol=0)


def test_a_quick_look_takes_whole_contexts_and_always_the_same(dev):
    chosen = some_questions(dev, 10)
    assert len(chosen) == 10
    assert len(set(dev.context_of[chosen])) == 5
    assert chosen == some_questions(dev, 10)
    assert some_questions(dev, 1000) == list(range(48))


def test_frozen_models_are_not_trained_and_their_names_are_kept(everything, tmp_path, graph_checkpoint):
    before = sha256_of(f"{graph_checkpoint}/model.safetensors")
    pretrain(everything(pretraining__max_steps=2, pretraining__evaluate_every=2))
    checkpoint = read_checkpoint(tmp_path / "run" / "model-last")
    assert checkpoint.model["graph_sha256"] == before == sha256_of(f"{graph_checkpoint}/model.safetensors")
    assert (checkpoint.model["elmo_layers"], checkpoint.model["graph_source"]) == (2, graph_checkpoint)
    assert not [name for name in checkpoint.state if "inputs" in name or "token_encoder" in name]
    load_sources(load_checkpoint(tmp_path / "run" / "model-last").config)


def test_stored_graphs_give_what_graphs_on_the_fly_give(everything, tmp_path):
    fresh, stored = (untrained(everything(corpora__graph_store=place)) for place in (None, str(tmp_path / "graphs")))
    batch = next(fresh.batches)
    with torch.no_grad():
        expected = fresh.loss(*batch)
        found = stored.loss(*batch)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
        assert len(list((tmp_path / "graphs").rglob("*.safetensors"))) == len(batch[1])
        assert torch.equal(stored.loss(*batch), found)


def test_a_reader_starts_from_another_by_word_and_character(everything, tmp_path):
    pretrain(everything(pretraining__max_steps=1, pretraining__objective__max_characters=9), output=tmp_path / "first")
    start = tmp_path / "first" / "model-last"
    objective = build_objective(everything(), seed=7)
    report = initialize_from(
        objective.model, start, kind="reader", vocab=objective.vocab[::-1], indexer=objective.indexer
    )
    assert report.by_word == {"words.weight": len(objective.vocab), "characters.table.weight": 11}
    old, letters = load_checkpoint(start), objective.model.config.characters
    places = [0, 1, *(2 + letters.index(letter) for letter in old.config.characters)]
    torch.testing.assert_close(objective.model.characters.table.weight[places], old.characters.table.weight)
    assert report.new == []


@pytest.fixture(scope="module")
def store(questions, elmo_checkpoint, tmp_path_factory):
    """Layers of all texts of the tiny corpus, in several shards."""
    folder = tmp_path_factory.mktemp("store")
    texts = corpus_texts(SquadCorpus(questions), max_context=14, stride=6)
    (folder / "texts.txt").write_text("".join(" ".join(text) + "\n" for text in texts), encoding="utf8")
    settings = FeatureSettings(file_format="safetensors", shard_tokens=400)
    extract([str(folder / "texts.txt")], folder / "layers", pretrained=elmo_checkpoint, settings=settings)
    return folder / "layers"


def test_layers_from_disk_give_what_layers_on_the_fly_give(everything, store):
    cut = {"corpora__max_context": 14, "corpora__stride": 6}  # most contexts are read in windows
    fresh, stored = (untrained(everything(**cut, corpora__elmo_store=place)) for place in (None, str(store)))
    batch = next(fresh.batches)
    with torch.no_grad():
        torch.testing.assert_close(stored.loss(*batch), fresh.loss(*batch), atol=1e-5, rtol=0)
    figures = [objective.evaluate(torch.device("cpu")) for objective in (fresh, stored)]
    assert figures[1] == pytest.approx(figures[0], abs=1e-4)


def test_a_store_of_other_texts_or_weights_is_refused(everything, tiny_reader, store, tmp_path):
    with pytest.raises(ValueError, match=r"\[G355\] .*layers has no vectors of a text with 11 tokens that begins with"):
        build_objective(everything(corpora__elmo_store=str(store), corpora__max_context=11, corpora__stride=6), seed=0)
    with pytest.raises(ValueError, match=r"\[G356\] .*layers was extracted from other weights .* than those of elmo"):
        build_objective(tiny_reader(model__elmo_source="elmo_en_sm", corpora__elmo_store=str(store)), seed=0)
    (tmp_path / "extract.json").write_text((store / "extract.json").read_text(encoding="utf8"), encoding="utf8")
    with pytest.raises(ValueError, match=r"\[G357\] .* is no whole folder .*: features-00000 is missing"):
        build_objective(everything(corpora__elmo_store=str(tmp_path)), seed=0)
    (tmp_path / "extract.json").write_text("{}", encoding="utf8")
    with pytest.raises(ValueError, match=r"\[G357\] .* is no whole folder .*: KeyError\('layer'\)"):
        build_objective(everything(corpora__elmo_store=str(tmp_path)), seed=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"corpora__batch_size": 64}, r"\[G352\] corpora.batch_size is 64, but .*corpus has only 48 questions with"),
        (
            {"corpora__train_fraction": 0.05},
            r"\[G352\] corpora.batch_size is 4, .* only 2 questions .* \(corpora.train_fraction = 0.05\)",
        ),
        ({"model__graph": "inputs"}, r"\[G354\] model.graph = 'inputs' reads nothing without model.graph_source"),
        ({"model__n_words": 7}, r"\[G358\] \[model\] must not set n_words"),
        ({"model__char_widht": 7}, r"\[G140\] model.char_widht is not a setting"),
        ({"corpora__buckets": [40, 20]}, r"\[G141\] corpora.buckets must be a list of ascending lengths"),
        ({"corpora__stride": 61}, r"\[G141\] corpora.stride must be at most corpora.max_context"),
        ({"corpora__train_fraction": 0.0}, r"\[G141\] corpora.train_fraction must be above 0 and at most 1"),
        ({"corpora__batch_size": 0}, r"\[G141\] corpora.batch_size must be at least 1"),
        ({"pretraining__objective__max_characters": -1}, r"\[G141\] pretraining.objective.max_characters must be"),
        ({"pretraining__objective__word_vectors": False}, r"\[G190\] A reader must read words"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_does_not_fit_is_named_before_any_work(overrides, message, tiny_reader):
    with pytest.raises(ValueError, match=message):
        build_objective(tiny_reader(**overrides), seed=0)


def test_a_batch_must_divide_among_the_processes(tiny_reader):
    with pytest.raises(ValueError, match=r"\[G306\] corpora.batch_size \(4\) must be divisible by .* \(3\)"):
        build_objective(tiny_reader(), seed=0, world_size=3)


def test_word_vectors_must_be_in_the_corpus(tiny_reader, questions, tmp_path):
    files = [questions.parent / f"{name}.json" for name in "ab"]
    prepare_squad(files[:1], tmp_path / "corpus", dev=files[1:])
    with pytest.raises(ValueError, match=r"\[G353\] .*corpus has no word vectors. Prepare it with --vectors"):
        build_objective(tiny_reader(paths__corpus=str(tmp_path / "corpus")), seed=0)


def test_the_alphabet_is_of_the_most_frequent_characters(tiny_reader):
    objective = build_objective(tiny_reader(pretraining__objective__max_characters=5), seed=0)
    assert objective.model.config.characters == "eilns"
