"""Raw text to a prepared corpus."""

import bz2
import errno
import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from glomo_spacy import files
from glomo_spacy.corpora import ShardedCorpus, prepare_corpus, text_files, tokenizing
from glomo_spacy.corpora.raw_text import CorpusSettings

ALL = CorpusSettings(dev_documents=0, lang="xx")  # a tokeniser that is made at once


@pytest.fixture
def prepare(tmp_path):
    """Write a text file and prepare it; keyword arguments are settings."""

    def run(text, *, name="text.txt", output="corpus", n_process=1, vocab=None, **settings):
        (tmp_path / name).write_text(text, encoding="utf8")
        return prepare_corpus(
            [str(tmp_path / name)],
            tmp_path / output,
            settings=CorpusSettings(**{"dev_documents": 0, "lang": "xx", **settings}),
            n_process=n_process,
            vocab=vocab,
        )

    return run


def _documents(directory, split="train"):
    """The documents of a split as lists of words."""
    corpus = ShardedCorpus(directory, split=split)
    return [[corpus.words[index] for index in document] for document in corpus.documents()]


def _numbered(n_documents):
    return "\n\n".join(f"document w{number}" for number in range(n_documents))


@pytest.mark.parametrize(
    "documents, expected",
    [
        ("blank-line", [["= a =", "b"], ["c"]]),
        ("line", [["= a ="], ["b"], ["c"]]),
        ("file", [["= a =", "b", "c"]]),
    ],
)
def test_documents_are_separated_as_asked(prepare, tmp_path, documents, expected):
    prepare("\n\n= a =\nb\r\n \t\r\n\nc", documents=documents)
    assert _documents(tmp_path / "corpus") == [" ".join(lines).split() for lines in expected]


def test_json_lines_hold_one_document_each(prepare, tmp_path):
    texts = ["one\n\ntwo", "three", " \n", "née"]
    prepare("\n".join(json.dumps({"text": text, "meta": 1}) for text in texts) + "\n\n", name="text.jsonl")
    assert _documents(tmp_path / "corpus") == [["one", "two"], ["three"], ["née"]]


def test_packed_json_lines_are_read(tmp_path):
    with gzip.open(tmp_path / "text.jsonl.gz", "wt") as file:
        file.write('{"text": "one"}')
    (tmp_path / "text.jsonl.txt").write_text('{"')
    prepare_corpus([str(tmp_path / "text.*")], tmp_path / "corpus", settings=ALL)
    assert _documents(tmp_path / "corpus") == [["one"], ["{", '"']]


@pytest.mark.parametrize("suffix, opener", [(".gz", gzip.open), (".xz", lzma.open), (".bz2", bz2.open)])
def test_packed_text_is_read(tmp_path, suffix, opener):
    with opener(tmp_path / f"text.txt{suffix}", "wt", encoding="utf8") as file:
        file.write("one two\n\nthree")
    prepare_corpus([str(tmp_path / "*.txt*")], tmp_path / "corpus", settings=ALL)
    assert _documents(tmp_path / "corpus") == [["one", "two"], ["three"]]


def test_files_of_a_pattern_are_read_once_in_sorted_order(tmp_path):
    for name in "cab":
        (tmp_path / f"{name}.txt").write_text(name)
    record = prepare_corpus([str(tmp_path / "b.txt"), str(tmp_path / "*.txt")], tmp_path / "corpus", settings=ALL)
    assert _documents(tmp_path / "corpus") == [["b"], ["a"], ["c"]]
    assert [source["file"] for source in record["sources"]] == ["b.txt", "a.txt", "c.txt"]
    assert record["sources"][0]["sha256"] == files.sha256_of(tmp_path / "b.txt")


def test_white_space_tokens_and_documents_without_words_are_dropped(prepare, tmp_path):
    prepare("a \t  b\u00a0 \u2003c\n\n\u2003 \n\nd")
    assert _documents(tmp_path / "corpus") == [["a", "b", "c"], ["d"]]


def test_byte_order_mark_is_no_word(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbfa b")
    prepare_corpus([str(tmp_path / "text.txt")], tmp_path / "corpus", settings=ALL)
    assert _documents(tmp_path / "corpus") == [["a", "b"]]


def test_vocabulary_and_counts_follow_the_rules(prepare, tmp_path):
    prepare("The the 3rd 2014 a, b", max_words=2)
    assert (tmp_path / "corpus" / "vocab.txt").read_text() == "N\nthe\n<unk>\n"
    assert ShardedCorpus(tmp_path / "corpus").counts.tolist() == [2, 2, 3]
    record = prepare("The the 3rd 2014 a, b", output="exact", digits=False, casing="exact", min_count=2, max_words=None)
    assert (record["n_words"], record["splits"]["train"]["unknown_rate"]) == (1, 1.0)


def test_tokens_are_those_of_the_language(prepare, tmp_path):
    prepare("z.B. don't", output="de", lang="de")
    prepare("z.B. don't", output="en", lang="en")
    assert _documents(tmp_path / "de") == [["z.b.", "don't"]]
    assert _documents(tmp_path / "en") == [["z.", "b.", "do", "n't"]]


def test_vocabulary_is_counted_on_the_training_split_alone(prepare, tmp_path):
    record = prepare(_numbered(20), dev_documents=5, digits=False)
    held_out = {word for document in _documents(tmp_path / "corpus", "dev") for word in document}
    assert held_out == {"document", "<unk>"}
    assert record["splits"]["dev"] == {
        "documents": 5,
        "tokens": 10,
        "unknown": 5,
        "unknown_rate": 0.5,
        "shards": ["dev-00000"],
    }
    assert record["splits"]["train"]["unknown"] == 0
    assert ShardedCorpus(tmp_path / "corpus").counts.tolist() == [15, *[1] * 15, 0]


@pytest.mark.parametrize("fraction, expected", [(0.25, 5), (0.001, 1), (0.0, None)])
def test_share_of_documents_is_held_out(prepare, fraction, expected):
    record = prepare(_numbered(20), dev_documents=None, dev_fraction=fraction)
    assert record["splits"].get("dev", {}).get("documents") == expected
    assert record["splits"]["train"]["documents"] == 20 - (expected or 0)


def test_seed_decides_which_documents_are_held_out(prepare, tmp_path):
    settings = {"dev_documents": 4, "digits": False}
    for output, seed in (("first", 0), ("same", 0), ("other", 1)):
        prepare(_numbered(30), output=output, seed=seed, **settings)
    kept = {name: _documents(tmp_path / name) for name in ("first", "same", "other")}
    assert kept["first"] == kept["same"] != kept["other"]


def test_shuffle_changes_the_order_and_nothing_else(prepare, tmp_path):
    for output, shuffle in (("plain", False), ("shuffled", True)):
        prepare(
            "\n\n".join("abcdefghijklmnopqrstuvwxyz" * 3),
            output=output,
            shuffle=shuffle,
            dev_documents=9,
            shard_tokens=30,
        )
    for split in ("train", "dev"):
        plain, shuffled = (_documents(tmp_path / output, split) for output in ("plain", "shuffled"))
        assert sorted(plain) == sorted(shuffled)
        assert plain != shuffled
    assert len(ShardedCorpus(tmp_path / "shuffled").shard_names) == 3


def test_given_vocabulary_is_kept(prepare, tmp_path):
    (tmp_path / "given.txt").write_text("two\none\nnever\n<unk>\n")
    prepare("one one three two\n\none two", vocab=tmp_path / "given.txt")
    assert _documents(tmp_path / "corpus") == [["one", "one", "<unk>", "two"], ["one", "two"]]
    assert ShardedCorpus(tmp_path / "corpus").counts.tolist() == [2, 3, 0, 1]


def test_large_vocabulary_takes_wider_ids(prepare, tmp_path):
    assert prepare("a b")["dtype"] == "uint16"
    words = [*(f"w{number}" for number in range(1 << 16)), "<unk>"]
    (tmp_path / "given.txt").write_text("\n".join(words) + "\n")
    assert prepare("w65535 none", output="wide", digits=False, vocab=tmp_path / "given.txt")["dtype"] == "uint32"
    assert _documents(tmp_path / "wide") == [["w65535", "<unk>"]]


def test_long_lines_are_cut_between_words(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_LONGEST_LINE", 16)
    long_word = "x" * 50
    text = f"some words on a rather long line\nand {long_word} more\n\nlast"
    prepare(text)
    first, second = _documents(tmp_path / "corpus")
    assert first[:8] == ["some", "words", "on", "a", "rather", "long", "line", "and"]
    assert "".join(first[8:-1]) == long_word  # without white space there is no better place to cut
    assert (first[-1], second) == ("more", ["last"])


@pytest.mark.parametrize("documents", ["blank-line", "line"])
def test_pieces_of_a_long_line_are_one_document(prepare, tmp_path, monkeypatch, documents):
    monkeypatch.setattr(text_files, "_LONGEST_LINE", 8)
    prepare("one two three four five six\n\nlast", documents=documents)
    assert _documents(tmp_path / "corpus") == [["one", "two", "three", "four", "five", "six"], ["last"]]


def test_result_does_not_depend_on_the_number_of_processes(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizing, "_CHUNK", 60)  # characters: many parts, documents divided between them
    settings = {"dev_documents": 2, "shuffle": True, "shard_tokens": 40, "max_words": 9}
    text = "\n\n".join(f"Text {number}:\nThe cat, the dog's tail.\nNo. {number % 7}!" for number in range(30))
    prepare(text, output="one", **settings)
    prepare(text, output="two", n_process=2, **settings)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


def test_parts_of_any_size_give_the_same_documents(prepare, tmp_path, monkeypatch):
    text = "\n\n".join("a b\nc" * (1 + number % 3) for number in range(12))
    prepare(text, output="whole")
    monkeypatch.setattr(tokenizing, "_CHUNK", 1)
    prepare(text, output="parts")
    assert _documents(tmp_path / "whole") == _documents(tmp_path / "parts")


def test_new_pipelines_in_between_change_nothing(prepare, tmp_path, monkeypatch):
    text = "\n\n".join(f"The cat no. {number} isn't here." for number in range(12))
    prepare(text, output="one")
    monkeypatch.setattr(tokenizing, "_CHUNK", 60)
    monkeypatch.setattr(tokenizing, "_MOST_LEXEMES", 0)
    prepare(text, output="many")
    assert _documents(tmp_path / "one") == _documents(tmp_path / "many")


def test_progress_reaches_the_size_of_the_text(tmp_path):
    (tmp_path / "text.txt").write_text("née\nzwei drei\n", encoding="utf8")
    total, done = [], []
    prepare_corpus(
        [str(tmp_path / "text.txt")], tmp_path / "corpus", settings=ALL, start=total.append, progress=done.append
    )
    assert total == [sum(done)] == [15]


BAD_INPUT = {
    "pattern without match": ({}, "*.txt", "G004", "No file matches '.*txt'"),
    "directory": ({}, "", "G004", "No file matches"),
    "empty corpus": ({"a.txt": b"", "b.txt": b" \r\n\n\t"}, "*.txt", "G005", "no text in: .*a.txt, .*b.txt"),
    "nothing but a byte order mark": ({"a.txt": b"\xef\xbb\xbf"}, "*.txt", "G005", "no text in"),
    "NUL byte": ({"a.txt": b"a" * 70 + b"\0b"}, "a.txt", "G006", "a.txt is not UTF-8 text: a NUL byte at byte 70"),
    "no UTF-8": ({"a.txt": "näh".encode("latin-1")}, "a.txt", "G006", "a byte that is not UTF-8 at byte 1"),
    "cut character": ({"a.txt": "nä".encode()[:-1]}, "a.txt", "G006", "not UTF-8 at byte 1"),
    "broken packing": ({"a.gz": gzip.compress(b"text" * 99)[:-9]}, "a.gz", "G006", "broken packing"),
    "no packing": ({"a.xz": b"text"}, "a.xz", "G006", "broken packing"),
    "no JSON": ({"a.jsonl": b'{"text": "a"}\n{"text": \n'}, "a.jsonl", "G007", r"a.jsonl, line 2: expected a JSON"),
    "no text in JSON": ({"a.jsonl": b'{"body": "a"}'}, "a.jsonl", "G007", "line 1"),
    "list in JSON": ({"a.jsonl": b'["text"]'}, "a.jsonl", "G007", "line 1"),
    "endless JSON": ({"a.jsonl": b"[" * 100_000}, "a.jsonl", "G007", "line 1"),
    "number as text": ({"a.jsonl": b'{"text": 3}'}, "a.jsonl", "G007", "line 1"),
    "half a character in JSON": ({"a.jsonl": rb'{"text": "\ud800"}'}, "a.jsonl", "G007", "line 1"),
}


@pytest.mark.parametrize("content, pattern, code, text", BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input_is_one_clear_error_and_writes_nothing(tmp_path, content, pattern, code, text):
    (tmp_path / "in").mkdir()
    for name, data in content.items():
        (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^\[{code}\] .*{text}"):
        prepare_corpus([str(tmp_path / "in" / pattern)], tmp_path / "corpus", settings=ALL)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("block", [1, 2, 3, 1 << 20])
def test_offset_of_a_broken_character_does_not_depend_on_blocks(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_files, "_BLOCK", block)
    (tmp_path / "a.txt").write_bytes("äöü€".encode() + b"\xe2\x82 x")
    with pytest.raises(ValueError, match=r"^\[G006\].* at byte 9\."):
        text_files.find_text_files([str(tmp_path / "a.txt")])


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"max_words": 0}, "max_words must be at least 1, but is 0"),
        ({"min_count": 0}, "min_count must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"dev_fraction": 1.0}, "dev_fraction must be at least 0 and below 1, but is 1.0"),
        ({"documents": "page"}, "documents must be one of blank-line, line, file, but is 'page'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, text):
    with pytest.raises(ValueError, match=rf"^\[G908\] {text}"):
        CorpusSettings(**settings)


def test_unknown_casing_is_refused_before_any_work():
    with pytest.raises(ValueError, match=r"^\[G002\]"):
        CorpusSettings(casing="title")


def test_unknown_language_is_refused_before_any_work(prepare, tmp_path):
    with pytest.raises(ValueError, match=r"^\[G008\] There is no tokeniser for the language 'qq'"):
        prepare("text", lang="qq")
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_fewer_than_one_process_is_refused(prepare):
    with pytest.raises(ValueError, match=r"^\[G908\] n_process must be at least 1"):
        prepare("text", n_process=0)


@pytest.mark.parametrize("text, held_out", [("only one", 1), (_numbered(3), 3)])
def test_at_least_one_document_is_left_for_training(prepare, tmp_path, text, held_out):
    with pytest.raises(ValueError, match=rf"^\[G009\] {held_out} of {held_out} documents cannot be held out"):
        prepare(text, dev_documents=held_out)
    assert not (tmp_path / "corpus").exists()


def test_existing_output_is_kept_unless_it_may_be_replaced(prepare, tmp_path):
    prepare("old")
    with pytest.raises(FileExistsError, match=r"^\[G901\]"):
        prepare("new")
    assert _documents(tmp_path / "corpus") == [["old"]]
    prepare_corpus([str(tmp_path / "text.txt")], tmp_path / "corpus", settings=ALL, overwrite=True)
    assert _documents(tmp_path / "corpus") == [["new"]]


def test_only_a_prepared_corpus_is_replaced(tmp_path):
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(FileNotFoundError, match=r"^\[G903\].*--force replaces a prepared corpus and nothing else"):
        prepare_corpus([str(tmp_path / "text.txt")], tmp_path, settings=ALL, overwrite=True)
    assert (tmp_path / "text.txt").read_text() == "text"
    (tmp_path / "empty").mkdir()
    prepare_corpus([str(tmp_path / "text.txt")], tmp_path / "empty", settings=ALL, overwrite=True)
    assert _documents(tmp_path / "empty") == [["text"]]


def test_full_disk_keeps_the_old_corpus(prepare, tmp_path, monkeypatch):
    prepare("old")

    def fail(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match=r"^\[G900\].*No space left"):
        prepare_corpus([str(tmp_path / "text.txt")], tmp_path / "corpus", settings=ALL, overwrite=True)
    monkeypatch.undo()
    assert _documents(tmp_path / "corpus") == [["old"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "text.txt"]


def test_failure_while_tokenising_leaves_nothing_behind(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizing.SpacyTokenizer, "__call__", lambda self, chunk: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare("text")
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_shards_are_plain_arrays_of_the_recorded_type(prepare, tmp_path):
    record = prepare("a b\n\nc")
    ids = np.load(tmp_path / "corpus" / "train-00000.ids.npy", allow_pickle=False)
    assert str(ids.dtype) == record["dtype"]
    assert ids.tolist() == [0, 1, 2]
    assert np.load(tmp_path / "corpus" / "train-00000.docs.npy").tolist() == [0, 2, 3]
    assert set(record["sha256"]) == {path.name for path in Path(tmp_path / "corpus").iterdir()} - {"corpus.json"}
