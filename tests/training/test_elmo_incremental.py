"""Going on with new text and a new vocabulary: rows, the optimiser's memory and the report follow the words."""

import json

import pytest
import torch
from safetensors.torch import load_file

from glomo_spacy.corpora import SentenceCorpus
from glomo_spacy.models.checkpoint import read_checkpoint, save_checkpoint
from glomo_spacy.training.initialize import initialize_from
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.objectives import build_objective
from glomo_spacy.training.optimizers import AdagradSettings, AdamWSettings, SGDSettings
from glomo_spacy.training.resume import list_states, load_state
from glomo_spacy.training.row_match import match_rows, row_labels

ADAM = AdamWSettings(0.01, 0.0, {}, 0.9, 0.99, 1e-8)
ADAGRAD = {"name": "adagrad", "learn_rate": 0.2, "weight_decay": 0.0, "multipliers": {}, "accumulator": 1.0}


@pytest.fixture
def new_text(write_sentences, tmp_path):
    """A corpus that shares half of its words with the other one."""
    words = [f"{'abcde'[index % 5] * (1 + index % 7)}{index}" for index in range(25, 75)]
    return write_sentences(tmp_path / "new" / "corpus", words=words, max_words=45, seed=1)


def start(objective, directory, **settings):
    return initialize_from(
        objective.model, directory, kind="elmo", vocab=objective.vocab, indexer=objective.indexer, **settings
    )


def test_rows_follow_their_words_and_every_row_is_accounted_for(tiny_elmo, sentences, new_text, tmp_path):
    pretrain(tiny_elmo())
    objective = build_objective(tiny_elmo(paths__corpus=str(new_text)), seed=1)
    fresh = {name: weight.clone() for name, weight in objective.model.state_dict().items()}
    report = start(objective, tmp_path / "run" / "model-last")
    before = load_file(tmp_path / "run" / "model-last" / "model.safetensors")
    old, new = SentenceCorpus(sentences).words, SentenceCorpus(new_text).words
    shared = [word for word in new if word in old]
    assert 3 < len(shared) < len(new)
    for name in ("softmax.weight", "softmax.bias"):
        after = objective.model.state_dict()[name]
        for word in shared:
            assert torch.equal(after[new.index(word)], before[name][old.index(word)]), word
        assert report.by_word[name] == len(shared)
        assert report.new_rows[name] == len(new) - len(shared)
        assert report.dropped_rows[name] == len(old) - len(shared)
        assert not torch.equal(after, fresh[name])
    for name in report.copied:
        assert torch.equal(objective.model.state_dict()[name], before[name])
    assert set(report.copied) | set(report.by_word) == set(before)
    assert (report.new, report.dropped) == ([], [])
    assert f"copied {len(shared)} rows of softmax.weight by word; {len(new) - len(shared)} new" in report.summary()


def test_what_is_excluded_stays_new(tiny_elmo, new_text, tmp_path):
    pretrain(tiny_elmo())
    objective = build_objective(tiny_elmo(paths__corpus=str(new_text)), seed=1)
    fresh = objective.model.softmax.weight.detach().clone()
    report = start(objective, tmp_path / "run" / "model-last", exclude=["softmax.*", "backward_lm.*"])
    assert torch.equal(objective.model.softmax.weight, fresh)
    assert {"softmax.weight", "softmax.bias"} < set(report.new) & set(report.dropped)
    assert not any(name.startswith("backward_lm") for name in report.copied)


@pytest.mark.parametrize("optimizer", ["adamw", "adagrad"])
def test_the_memory_of_the_optimiser_follows_the_words(optimizer, tiny_elmo, sentences, new_text, tmp_path):
    settings = {"pretraining__optimizer": ADAGRAD} if optimizer == "adagrad" else {}
    pretrain(tiny_elmo(**settings))
    objective = build_objective(tiny_elmo(paths__corpus=str(new_text)), seed=1)
    built = (AdagradSettings(0.1, 0.0, {}, 1.0) if optimizer == "adagrad" else ADAM).build(objective.model)
    report = start(objective, tmp_path / "run" / "model-last", optimizer=built)
    tensors, values = load_state(list_states(tmp_path / "run")[-1])
    old, new = SentenceCorpus(sentences).words, SentenceCorpus(new_text).words
    slot = {"adamw": "exp_avg_sq", "adagrad": "sum"}[optimizer]

    def before(name):
        return tensors[f"optimizer/{values['parameters'].index(name)}/{slot}"]

    def after(name):
        return built.state[dict(objective.model.named_parameters())[name]]

    rows = after("softmax.weight")[slot]
    shared = [word for word in new if word in old]
    for word in shared:
        assert torch.equal(rows[new.index(word)], before("softmax.weight")[old.index(word)])
    strangers = torch.tensor([word not in old for word in new])
    kept = before("softmax.weight")[[old.index(word) for word in shared]]
    expected = kept.mean(0) if optimizer == "adamw" else torch.ones(16)
    torch.testing.assert_close(rows[strangers], expected.expand(int(strangers.sum()), 16))
    name = "forward_lm.layers.0.projection"
    assert torch.equal(after(name)[slot], before(name))
    assert float(after(name)["step"]) == 6
    assert report.slots.startswith("taken over for ")
    assert "2 of them by row; new for 0" in report.slots


def test_another_optimiser_or_a_bare_checkpoint_gives_no_memory(tiny_elmo, tmp_path):
    pretrain(tiny_elmo())
    objective = build_objective(tiny_elmo(), seed=1)
    built = SGDSettings(1.0, 0.0, {}, 0.5).build(objective.model)
    report = start(objective, tmp_path / "run" / "model-last", optimizer=built)
    assert report.slots == "new, since the training state is of another optimiser (AdamW)"
    (tmp_path / "run" / "model-last").rename(tmp_path / "alone")
    report = start(objective, tmp_path / "alone", optimizer=built)
    assert report.slots == "new, since no training state stands beside the checkpoint"
    assert not built.state


def test_the_memory_of_the_optimiser_can_be_left_behind(tiny_elmo, tmp_path):
    pretrain(tiny_elmo())
    objective = build_objective(tiny_elmo(), seed=1)
    built = ADAM.build(objective.model)
    report = start(objective, tmp_path / "run" / "model-last", optimizer=built, exclude=["optimizer"])
    assert (report.slots, dict(built.state), report.new) == ("new", {}, [])


def test_a_run_goes_on_where_another_vocabulary_ended(tiny_elmo, new_text, tmp_path):
    pretrain(tiny_elmo(pretraining__max_steps=60, pretraining__evaluate_every=60), output=tmp_path / "old")
    short = tiny_elmo(paths__corpus=str(new_text), pretraining__max_steps=2, pretraining__evaluate_every=2)
    scratch = pretrain(short, output=tmp_path / "scratch")
    further = pretrain(short, output=tmp_path / "further", init_from=tmp_path / "old" / "model-best")
    assert further["loss"] < scratch["loss"]
    rows = [json.loads(line) for line in (tmp_path / "further" / "log.jsonl").read_text().splitlines()]
    report = next(row for row in rows if row["event"] == "initialize")
    assert report["by_word"]["softmax.weight"] + report["new_rows"]["softmax.weight"] == 48
    assert read_checkpoint(tmp_path / "further" / "model-best").vocab == SentenceCorpus(new_text).words


def test_rows_of_an_adaptive_softmax_follow_their_words_within_a_cluster():
    head, tail = torch.zeros(4, 2), torch.zeros(3, 2)
    old, new = ["a", "b", "c", "d", "e"], ["b", "d", "a", "c", "f"]

    def labels(name, weight, vocab):
        return row_labels(name, weight, vocab=vocab, indexer={}, cutoffs=(3,))

    names = "softmax.clusters.head.weight", "softmax.clusters.tail.0.1.weight"
    match = match_rows(labels(names[0], head, old), labels(names[0], head, new))
    assert (match.there.tolist(), match.here.tolist()) == ([0, 1, 3], [2, 0, 3])  # a, b and the way to the cluster
    assert match.is_new.tolist() == [False, True, False, False]
    match = match_rows(labels(names[1], tail[:2], old), labels(names[1], tail[:2], new))
    assert (match.there.tolist(), match.here.tolist()) == ([], [])  # d has come to the head, e is gone
    assert labels("softmax.clusters.tail.0.0.weight", tail, old) is None


def test_rows_of_characters_follow_their_letters():
    def labels(alphabet, n_rows):
        section = {"alphabet": alphabet}
        return row_labels("token_encoder.embedding", torch.zeros(n_rows, 2), vocab=None, indexer=section)

    # Letters, one row for all others, then the marks of sentence and word and the padding.
    match = match_rows(labels(["x", "é", "y"], 9), labels(["y", "z", "x"], 9))
    assert match.there.tolist() == [0, 2, 3, 4, 5, 6, 7, 8]
    assert match.here.tolist() == [2, 0, 3, 4, 5, 6, 7, 8]
    match = match_rows(labels(None, 261), labels(["a", "é"], 8))
    assert match.there.tolist() == [ord("a"), 256, 257, 258, 259, 260]
    assert match.here.tolist() == [0, 3, 4, 5, 6, 7]


def test_a_weight_that_has_as_many_rows_as_words_by_chance_is_copied_as_it_is():
    weight, vocab = torch.zeros(4, 2), ["a", "b", "c", "d"]
    assert row_labels("forward_lm.layers.0.bias", weight, vocab=vocab, indexer={}) is None
    assert row_labels("softmax.weight", weight, vocab=vocab, indexer={}) == vocab


def test_rows_of_a_table_of_input_words_follow_their_words(tiny_elmo, new_text, tmp_path):
    words = {"model__token_encoder": "words"}
    pretrain(tiny_elmo(**words))
    objective = build_objective(tiny_elmo(paths__corpus=str(new_text), **words), seed=1)
    report = start(objective, tmp_path / "run" / "model-last")
    assert set(report.by_word) == {"token_encoder.weight", "softmax.weight", "softmax.bias"}


def test_no_shared_word_is_an_error(tiny_elmo, tmp_path):
    objective = build_objective(tiny_elmo(), seed=1)
    vocab = [f"other{index}" for index in range(len(objective.vocab))]
    save_checkpoint(tmp_path / "c", objective.model, indexer=objective.indexer, vocab=vocab, meta={})
    with pytest.raises(ValueError, match=r"\[G312\].*share no word"):
        start(objective, tmp_path / "c")
