"""Raw or tokenised text to a prepared corpus of sentences."""

import random

import numpy as np
import pytest
import spacy

from glomo_spacy.corpora import SentenceCorpus, ShardedCorpus, prepare_sentences, sentences, text_files, tokenizing
from glomo_spacy.corpora.sentence_cutting import SentenceTokenizer
from glomo_spacy.corpora.sentence_settings import SentenceSettings
from glomo_spacy.corpora.sentence_shards import open_corpus
from glomo_spacy.corpora.sentence_words import learn_alphabet
from glomo_spacy.corpora.tokenizing import Chunk

SPECIALS = ["<S>", "</S>", "<UNK>"]


@pytest.fixture
def prepare(tmp_path):
    """Write a text file and prepare it; keyword arguments are settings."""

    def run(text, *, output="corpus", dev=None, vocab=None, n_process=1, **settings):
        (tmp_path / "text.txt").write_text(text, encoding="utf8")
        if dev is not None:
            (tmp_path / "dev.txt").write_text(dev, encoding="utf8")
        if vocab is not None:
            (tmp_path / "given.txt").write_text("".join(f"{word}\n" for word in vocab), encoding="utf8")
        return prepare_sentences(
            [str(tmp_path / "text.txt")],
            tmp_path / output,
            settings=SentenceSettings(**{"dev_documents": 0, "lang": "xx", **settings}),
            dev=[str(tmp_path / "dev.txt")] if dev is not None else (),
            vocab=None if vocab is None else tmp_path / "given.txt",
            n_process=n_process,
        )

    return run


def _sentences(directory, split="train"):
    """The sentences of a split, tokens joined by blanks."""
    corpus = SentenceCorpus(directory, split=split)
    return [" ".join(corpus.types[index] for index in sentence) for sentence in corpus.documents()]


def _numbered(n_lines):
    return "\n".join(f"line w{number} ." for number in range(n_lines))


def test_raw_text_is_cut_at_marks_and_line_ends(prepare, tmp_path):
    prepare('One two. Three "four!" Five\n\nSix ... Seven? eight', lang="en")
    assert _sentences(tmp_path / "corpus") == [
        "One two .",
        'Three " four ! "',
        "Five",
        "Six ... Seven ?",
        "eight",
    ]


def test_sentences_are_those_of_the_stock_sentencizer():
    rng = random.Random(0)
    pieces = ["a", " ", "  ", ".", "!", '"', ")", "?", " b", "…", "。", ", "]
    lines = ["".join(rng.choices(pieces, k=rng.randint(1, 25))) + "x\n" for _ in range(300)]
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    sentences = ([token.text for token in span if not token.is_space] for line in lines for span in nlp(line).sents)
    units = SentenceTokenizer("en")(Chunk(lines, [True] * len(lines)))
    found = [[units.types[index] for index in piece] for piece in np.split(units.tokens, units.ends)]
    assert [words for words in found if words] == [words for words in sentences if words]


@pytest.mark.parametrize(
    "headings, expected", [(False, ["a = b", "= c"]), (True, ["= Title =", "a = b", "= = x = =", "==", "= c"])]
)
def test_headings_of_raw_text_are_left_out_unless_asked_for(prepare, tmp_path, headings, expected):
    record = prepare("= Title =\na = b\n = = x = =\n==\n\n= c\n", headings=headings)
    assert _sentences(tmp_path / "corpus") == [text.replace("==", "= =") for text in expected]
    assert record["headings_left_out"] == (0 if headings else 3)
    assert record["splits"]["train"]["documents"] == 2


def test_tokenized_text_is_taken_as_it_stands(prepare, tmp_path):
    text = "= a.b \t don't =\n\n  One. <UNK> two.  \r\nthree"
    record = prepare(text, tokenized=True)
    assert _sentences(tmp_path / "corpus") == ["= a.b don't =", "One. <UNK> two.", "three"]
    assert record["splits"]["train"]["documents"] == 3  # each line is one, or --documents says otherwise
    assert prepare(text, tokenized=True, documents="blank-line", output="two")["splits"]["train"]["documents"] == 2


def test_long_sentences_are_kept_or_cut_as_asked(prepare, tmp_path):
    text = " ".join("abcdefg") + "\nh i"
    prepare(text, tokenized=True)
    assert _sentences(tmp_path / "corpus") == ["a b c d e f g", "h i"]
    record = prepare(text, max_tokens=3, output="cut")
    assert _sentences(tmp_path / "cut") == ["a b c", "d e f", "g", "h i"]
    assert record["splits"]["train"]["documents"] == 1


def test_words_stand_by_falling_training_count_behind_the_special_ones(prepare, tmp_path):
    record = prepare("b b c A\na b a 2014", tokenized=True, dev="z c\ny z", max_words=3)
    types = [*SPECIALS, "b", "a", "2014", "A", "c", "y", "z"]
    corpus = SentenceCorpus(tmp_path / "corpus")
    assert corpus.types == types == (tmp_path / "corpus" / "types.txt").read_text().split()
    assert corpus.words == types[:6] == (tmp_path / "corpus" / "vocab.txt").read_text().split()
    assert corpus.counts.tolist() == [2, 2, 2, 3, 2, 1]  # <S> and </S>: sentences; <UNK>: what is left out
    assert (record["n_words"], record["n_types"], corpus.n_words, corpus.n_predictions) == (6, 10, 6, 10)
    assert [sizes["unknown"] for sizes in record["splits"].values()] == [2, 4]
    assert _sentences(tmp_path / "corpus", "dev") == ["z c", "y z"]  # unknown words keep their spelling
    assert corpus.indexer.ids(["b", "c"]).tolist() == [3, 2]


def test_rare_words_are_no_words_of_the_softmax(prepare, tmp_path):
    prepare("a a b", min_count=2)
    corpus = SentenceCorpus(tmp_path / "corpus")
    assert (corpus.words, corpus.types) == ([*SPECIALS, "a"], [*SPECIALS, "a", "b"])


def test_literal_special_words_become_them(prepare, tmp_path):
    record = prepare("a <UNK> </S> <S> !!!MAXTERMID", tokenized=True)
    corpus = SentenceCorpus(tmp_path / "corpus")
    assert [sentence.tolist() for sentence in corpus.documents()] == [[3, 2, 1, 0, 4]]
    assert corpus.words == [*SPECIALS, "a"]  # readers of vocabularies skip a line !!!MAXTERMID
    assert corpus.counts.tolist() == [1, 1, 2, 1]
    assert record["splits"]["train"]["unknown"] == 2


def test_a_token_that_stands_for_unknown_words_becomes_them(prepare, tmp_path):
    text = "a <unk> b\n<unk> a <UNK>\na c"
    record = prepare(text, tokenized=True, unknown="<unk>", max_words=2, alphabet=9, dev="<unk> a new")
    corpus = SentenceCorpus(tmp_path / "corpus")
    assert corpus.types == [*SPECIALS, "a", "b", "c", "new"]
    assert _sentences(tmp_path / "corpus") == ["a <UNK> b", "<UNK> a <UNK>", "a c"]
    assert _sentences(tmp_path / "corpus", split="dev") == ["<UNK> a new"]
    assert corpus.counts.tolist() == [3, 3, 4, 3, 1]
    assert record["splits"]["train"]["unknown"] == 4
    assert "k" not in corpus.alphabet
    assert record["settings"]["unknown"] == "<unk>"


def test_given_vocabulary_is_kept(prepare, tmp_path):
    prepare("a a b c\nnew", tokenized=True, vocab=[*SPECIALS, "a", "never", "b", "!!!MAXTERMID"])
    corpus = SentenceCorpus(tmp_path / "corpus")
    assert corpus.words == [*SPECIALS, "a", "never", "b"]
    assert corpus.types == [*corpus.words, "c", "new"]
    assert corpus.counts.tolist() == [2, 2, 2, 2, 0, 1]


@pytest.mark.parametrize(
    "vocab, code, text",
    [
        (["a", "b"], "G016", "no <S>"),
        (["<UNK>", "<S>", "</S>", "a"], "G016", "'<UNK>' in line 1"),
        ([*SPECIALS, "a", "a"], "G016", "'a' more than once"),
        ([*SPECIALS, "b", "c", "a"], "G021", r"'c' \(1 times\) stands before 'a' \(4 times\)"),
    ],
)
def test_vocabulary_without_specials_or_unsorted_is_refused(prepare, tmp_path, vocab, code, text):
    with pytest.raises(ValueError, match=rf"^\[{code}\].*{text}"):
        prepare("a a a a c", tokenized=True, vocab=vocab)
    assert not (tmp_path / "corpus").exists()


def test_unsorted_vocabulary_is_refused_before_the_text_is_read(prepare, monkeypatch):
    monkeypatch.setattr(sentences, "tokenize_lines", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ValueError, match=r"^\[G021\]"):
        prepare("b b b a", vocab=[*SPECIALS, "a", "b"])


def test_sorted_vocabulary_of_another_text_is_taken(prepare, tmp_path):
    words = [f"w{number}" for number in range(60)]
    other = random.Random(0)
    text = " ".join(other.choices(words, weights=[1 / (1 + rank * other.uniform(0.3, 3)) for rank in range(60)], k=900))
    prepare(text, vocab=[*SPECIALS, *words])
    with pytest.raises(ValueError, match=r"^\[G021\]"):
        prepare(text, vocab=[*SPECIALS, *reversed(words)], output="other")
    prepare("x y z", vocab=[*SPECIALS, *words], output="foreign")  # nothing to tell the order by


def test_vocabulary_that_is_no_text_is_refused(prepare, tmp_path):
    (tmp_path / "vocab.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "text.txt").write_text("a")
    with pytest.raises(ValueError, match=r"^\[G902\] .*vocab.bin is damaged: not UTF-8 text"):
        prepare_sentences([str(tmp_path / "text.txt")], tmp_path / "corpus", vocab=tmp_path / "vocab.bin")


def test_alphabet_holds_the_most_frequent_characters_of_the_training_text(prepare, tmp_path):
    record = prepare("ab ab é b\nab", dev="zzzzzzzz", alphabet=3)
    assert SentenceCorpus(tmp_path / "corpus").alphabet == ["b", "a", "é"]
    assert record["alphabet"] == 3
    assert learn_alphabet({"ba": 2, "日": 1, "never": 0}, size=9) == ["a", "b", "日"]
    prepare("ab", output="bytes")
    assert SentenceCorpus(tmp_path / "bytes").alphabet is None


def test_documents_are_held_out_whole(prepare, tmp_path):
    text = "\n\n".join(f"first {number}.\nsecond {number}. third {number}." for number in range(12))
    record = prepare(text, dev_documents=3)
    held_out = [sentence.split()[1].rstrip(".") for sentence in _sentences(tmp_path / "corpus", "dev")]
    assert [held_out.count(number) for number in dict.fromkeys(held_out)] == [3, 3, 3]
    assert record["splits"]["dev"]["documents"] == 3
    assert (record["splits"]["dev"]["sentences"], record["splits"]["train"]["sentences"]) == (9, 27)
    assert not set(held_out) & {sentence.split()[1] for sentence in _sentences(tmp_path / "corpus")}


def test_seed_decides_which_sentences_of_a_plain_list_are_held_out(prepare, tmp_path):
    for output, seed in (("first", 0), ("same", 0), ("other", 1)):
        prepare(_numbered(40), tokenized=True, dev_documents=None, dev_fraction=0.1, output=output, seed=seed)
    kept = {name: _sentences(tmp_path / name, "dev") for name in ("first", "same", "other")}
    assert kept["first"] == kept["same"] != kept["other"]
    assert len(kept["first"]) == 4


def test_held_out_files_are_kept_apart(prepare, tmp_path):
    record = prepare("a b\n\nc", dev="a d", dev_documents=None, dev_fraction=0.5)
    assert (_sentences(tmp_path / "corpus"), _sentences(tmp_path / "corpus", "dev")) == (["a b", "c"], ["a d"])
    assert [(source["split"], source["file"]) for source in record["sources"]] == [
        ("train", "text.txt"),
        ("dev", "dev.txt"),
    ]


def test_shuffle_changes_the_order_and_nothing_else(prepare, tmp_path):
    for output, shuffle in (("plain", False), ("shuffled", True)):
        prepare(_numbered(60), output=output, shuffle=shuffle, documents="line", dev_documents=20, shard_tokens=40)
    for split in ("train", "dev"):
        plain, shuffled = (_sentences(tmp_path / output, split) for output in ("plain", "shuffled"))
        assert sorted(plain) == sorted(shuffled)
        assert plain != shuffled
    assert len(SentenceCorpus(tmp_path / "shuffled").shard_names) == 3


def test_result_does_not_depend_on_the_number_of_processes(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizing, "_CHUNK", 60)  # characters: many parts, documents divided between them
    settings = {"dev_documents": 2, "shuffle": True, "shard_tokens": 40, "max_words": 9, "alphabet": 7}
    text = "\n\n".join(f"= {number} =\nThe cat. The dog's tail.\nNo. {number % 7}!" for number in range(20))
    for output, n_process in (("one", 1), ("two", 2)):
        prepare(text, output=output, n_process=n_process, **settings)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_parts_of_any_size_give_the_same_corpus(prepare, tmp_path, monkeypatch, size):
    text = "\n\n".join("= x =\na b. c\nd" * (1 + number % 3) for number in range(12))
    prepare(text, output="whole", dev_documents=4)
    monkeypatch.setattr(tokenizing, "_CHUNK", size)
    prepare(text, output="parts", dev_documents=4)
    assert (tmp_path / "whole" / "corpus.json").read_bytes() == (tmp_path / "parts" / "corpus.json").read_bytes()


BAD_INPUT = {
    "pattern without match": ({}, "*.txt", "G004", "No file matches '.*txt'"),
    "empty": ({"a.txt": b" \n"}, "a.txt", "G005", "no text in: .*a.txt"),
    "headings alone": ({"a.txt": b"= a =\n\n= b ="}, "a.txt", "G005", "no text in: .*a.txt"),
    "binary": ({"a.txt": b"\x89PNG\r\n\x1a\n\0\0"}, "a.txt", "G006", "a.txt is not UTF-8 text: a .* at byte "),
    "one document": ({"a.txt": b"a b\nc d"}, "a.txt", "G009", "1 of 1 documents cannot be held out"),
}


@pytest.mark.parametrize("content, pattern, code, text", BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input_is_one_clear_error_and_writes_nothing(tmp_path, content, pattern, code, text):
    (tmp_path / "in").mkdir()
    for name, data in content.items():
        (tmp_path / "in" / name).write_bytes(data)
    settings = SentenceSettings(lang="xx")
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^\[{code}\] .*{text}"):
        prepare_sentences([str(tmp_path / "in" / pattern)], tmp_path / "corpus", settings=settings)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_text_that_is_trained_on_is_not_held_out(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    with pytest.raises(ValueError, match=r"^\[G020\] .*a.txt is both in the text and in --dev"):
        prepare_sentences([str(tmp_path / "*.txt")], tmp_path / "corpus", dev=[str(tmp_path / "a.txt")])


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"max_tokens": 0}, "max_tokens must be at least 1, but is 0"),
        ({"alphabet": 0}, "alphabet must be at least 1"),
        ({"max_words": 0}, "max_words must be at least 1"),
        ({"documents": "page"}, "documents must be one of blank-line, line, file, but is 'page'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, text):
    with pytest.raises(ValueError, match=rf"^\[G908\] {text}"):
        SentenceSettings(**settings)


def test_a_token_for_unknown_words_needs_tokenized_text():
    with pytest.raises(ValueError, match=r"^\[G908\] unknown must be left out of raw text, but is '<unk>'"):
        SentenceSettings(unknown="<unk>")


def test_number_of_processes_out_of_range_is_refused(prepare):
    with pytest.raises(ValueError, match=r"^\[G908\] n_process must be at least 1, but is 0"):
        prepare("a", n_process=0)


def test_existing_output_is_kept_unless_it_may_be_replaced(prepare, tmp_path):
    prepare("old")
    with pytest.raises(FileExistsError, match=r"^\[G901\]"):
        prepare("new")
    (tmp_path / "corpus" / "corpus.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"^\[G903\]"):
        prepare_sentences([str(tmp_path / "text.txt")], tmp_path / "corpus", overwrite=True)


def test_corpora_of_the_two_formats_are_told_apart(prepare, tmp_path, make_corpus):
    prepare("a b")
    with pytest.raises(ValueError, match=r"^\[G920\].*is a corpus of sentences, but documents are needed"):
        ShardedCorpus(tmp_path / "corpus")
    with pytest.raises(ValueError, match=r"^\[G920\].*is a corpus of documents, but sentences.*--format sentences"):
        SentenceCorpus(make_corpus([3], name="other").directory)
    assert isinstance(open_corpus(tmp_path / "corpus"), SentenceCorpus)
    assert not isinstance(open_corpus(tmp_path / "other"), SentenceCorpus)


def test_unknown_format_is_refused(prepare, tmp_path):
    prepare("a b")
    path = tmp_path / "corpus" / "corpus.json"
    path.write_text(path.read_text().replace('"sentences",', '"paragraphs",', 1))
    with pytest.raises(ValueError, match=r"^\[G904\].*format paragraphs, but .* format documents or sentences"):
        open_corpus(tmp_path / "corpus")


@pytest.mark.parametrize("damage", ["<S>\n</S>\n<UNK>\na\n", "<S>\n</S>\n<UNK>\nb\na\n"])
def test_word_lists_that_do_not_fit_are_damage(prepare, tmp_path, damage):
    prepare("a a b")
    (tmp_path / "corpus" / "types.txt").write_text(damage)
    with pytest.raises(ValueError, match=r"^\[G902\].*types.txt must have 5 lines, the first of them those of vocab"):
        SentenceCorpus(tmp_path / "corpus")


def test_fingerprint_tells_vocabularies_apart(prepare, tmp_path):
    for output, max_words in (("a", None), ("b", None), ("c", 1)):
        prepare("x y z", output=output, max_words=max_words)
    first, same, other = (SentenceCorpus(tmp_path / name).fingerprint for name in "abc")
    assert first == same != other


def test_long_lines_are_cut_between_words(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_LONGEST_LINE", 16)
    record = prepare("one two three four five six\nlast", tokenized=True)
    assert " ".join(_sentences(tmp_path / "corpus")) == "one two three four five six last"
    assert record["splits"]["train"]["documents"] == 2
