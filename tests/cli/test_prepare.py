"""The command that prepares a corpus."""

import pytest
from squad_files import TINY, make_content, write_squad
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.corpora import SentenceCorpus, ShardedCorpus, SquadCorpus


@pytest.fixture
def run(tmp_path):
    (tmp_path / "text.txt").write_text("\n\n".join(f"The cat {number} sat ." for number in range(10)))

    def invoke(*args):
        command = ["prepare", str(tmp_path / "text.txt"), str(tmp_path / "corpus"), *args]
        result = CliRunner().invoke(app, command)
        return result.exit_code, result.output

    return invoke


def test_table_names_every_split(run, tmp_path):
    code, output = run("--dev-documents", "2", "--max-words", "3")
    assert code == 0
    rows = [line.split() for line in output.splitlines()]
    assert ["train", "8", "40", "40.00%", "1"] in rows
    assert ["dev", "2", "10", "40.00%", "1"] in rows
    assert "Vocabulary: 4 words with <unk> (uint16)" in output
    assert f"✔ {tmp_path / 'corpus'}" in output


def test_options_reach_the_settings(run, tmp_path):
    options = "--lang de --documents line --max-words 0 --min-count 2 --no-digits --casing exact --dev-fraction 0.2"
    assert run(*options.split(), "--shuffle", "--seed", "3", "--shard-tokens", "10")[0] == 0
    record = ShardedCorpus(tmp_path / "corpus").record
    assert record["settings"] == {
        "lang": "de",
        "documents": "line",
        "max_words": None,
        "min_count": 2,
        "digits": False,
        "casing": "exact",
        "dev_fraction": 0.2,
        "dev_documents": None,
        "shuffle": True,
        "seed": 3,
        "shard_tokens": 10,
    }
    assert record["splits"]["dev"]["documents"] == 2


def test_sentences_are_prepared_from_tokenized_text(run, tmp_path):
    options = "--format sentences --tokenized --max-size 3 --dev-documents 2 --alphabet 4 --max-tokens 3 --seed 1"
    code, output = run(*options.split(), "--documents", "blank-line", "--shuffle", "--unknown", "<unk>")
    assert code == 0
    rows = [line.split() for line in output.splitlines()]
    assert ["train", "8", "16", "40", "40.00%", "1"] in rows
    assert ["dev", "2", "4", "10", "40.00%", "1"] in rows
    assert "Vocabulary: 6 words with <S>, </S> and <UNK>, of 17 spellings" in output
    corpus = SentenceCorpus(tmp_path / "corpus")
    assert corpus.words == ["<S>", "</S>", "<UNK>", ".", "The", "cat"]
    assert corpus.record["settings"] == {
        "lang": "en",
        "tokenized": True,
        "unknown": "<unk>",
        "headings": False,
        "max_tokens": 3,
        "documents": "blank-line",
        "max_words": 3,
        "min_count": 1,
        "alphabet": 4,
        "dev_fraction": 0.005,
        "dev_documents": 2,
        "shuffle": True,
        "seed": 1,
        "shard_tokens": 10_000_000,
    }


def test_held_out_files_and_headings_reach_the_settings(run, tmp_path):
    (tmp_path / "dev.txt").write_text("= Held =\n\nThe end.")
    code, output = run("--format", "sentences", "--headings", "--dev", str(tmp_path / "dev.txt"))
    assert code == 0
    assert "Headings left out: 0" in output
    record = SentenceCorpus(tmp_path / "corpus", split="dev").record
    assert (record["splits"]["dev"]["sentences"], record["settings"]["headings"]) == (2, True)


@pytest.mark.parametrize(
    "options, text",
    [
        (["--format", "pages"], "[G908] --format must be one of documents, sentences, squad, but is 'pages'"),
        (["--format", "sentences", "--no-digits"], "[G018] --digits is for --format documents, but the format is sent"),
        (["--max-tokens", "9"], "[G018] --max-tokens is for --format sentences, but the format is documents"),
        (["--unknown", "<unk>"], "[G018] --unknown is for --format sentences, but the format is documents"),
        (["--dev", "x.txt"], "[G018] --dev is for --format sentences"),
        (["--format", "sentences", "--dev", "x", "--dev-fraction", "0.1"], "[G019] --dev gives the held-out text, so"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, options, text):
    code, output = run(*options)
    assert code == 1
    assert text in " ".join(output.split())


def test_taken_output_is_one_line_and_exit_code_one(run):
    assert run()[0] == 0
    code, output = run()
    assert code == 1
    assert "[G901]" in output
    assert run("--force")[0] == 0


def test_vocabulary_of_another_corpus_is_used(run, tmp_path):
    (tmp_path / "vocab.txt").write_text("cat\n<unk>\n")
    assert run("--vocab", str(tmp_path / "vocab.txt"))[0] == 0
    assert ShardedCorpus(tmp_path / "corpus").words == ["cat", "<unk>"]


def test_questions_are_prepared_with_their_vectors(tmp_path):
    (tmp_path / "vectors.txt").write_text("the 1 2\nmast 3 4\nzebra 5 6\n")
    dev = write_squad(tmp_path / "dev.json", make_content())
    options = ["--dev", dev, "--vectors", tmp_path / "vectors.txt", "--max-vectors", 3, "--vector-dtype", "float16"]
    command = ["prepare", TINY, tmp_path / "corpus", "--format", "squad", *options]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()]
    assert ["train", "6", "20", "51", "36", "36", "(100.00%)", "0", "(0.00%)", "0", "0"] in rows
    assert ["dev", "1", "1", "5", "1", "1", "(100.00%)", "0", "(0.00%)", "0", "0"] in rows
    assert "Vectors: 3 words of width 2 from vectors.txt" in result.output
    assert "With a vector in dev: 40.00% of contexts, 0.00% of questions" in result.output
    corpus = SquadCorpus(tmp_path / "corpus")
    assert corpus.words == ["the", "mast", "zebra"]
    assert corpus.record["settings"] == {
        "lang": "en",
        "answerable_only": False,
        "max_vectors": 3,
        "vector_dtype": "float16",
    }


def test_questions_without_an_answer_are_left_out_and_counted(tmp_path):
    content = make_content()
    content["data"][0]["paragraphs"][0]["qas"].append({"id": "q2", "question": "Who?", "answers": []})
    command = ["prepare", str(write_squad(tmp_path / "two.json", content)), str(tmp_path / "corpus"), "-f", "squad"]
    assert "[G069]" in CliRunner().invoke(app, command).output
    result = CliRunner().invoke(app, [*command, "--answerable-only"])
    assert "Questions without an answer left out of train: 1" in result.output


def test_options_of_text_are_refused_for_questions(tmp_path):
    command = ["prepare", str(TINY), str(tmp_path / "corpus"), "--format", "squad", "--max-words", "9"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "[G018] --max-words is for --format documents or sentences, but the format is squad" in result.output
