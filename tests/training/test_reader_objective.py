"""The objective of the question-answering reader: what a run learns, keeps and refuses."""

from glomo_spacy.training.loop import pretrain


def test_a_reader_learns_where_answers_stand(tiny_reader):
    result = pretrain(tiny_reader(pretraining__max_steps=120, pretraining__evaluate_every=120))
    assert result["f1"] > 80
    assert result["best_score"] == result["f1"]
