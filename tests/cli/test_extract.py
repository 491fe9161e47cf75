"""The vectors of a corpus in files: whole, resumable, the same however they came about."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Dict, List

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from glomo_spacy import Embedder
from glomo_spacy.cli import _workers, app
from glomo_spacy.cli._feature_folder import FeatureFolder, FeatureSettings
from glomo_spacy.cli.extract import extract, parse_part
from glomo_spacy.errors import Errors

LINES = ["The cats sat .", "", "Dogs bark at them all night long .", "The end", "A last line with seven tokens ."]
SHARDED = FeatureSettings(shard_tokens=8)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf8")
    return path


def run(*args: object) -> Any:
    return CliRunner().invoke(app, ["extract", *map(str, args)])


def contents(folder: Path) -> Dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_line_has_its_vectors_under_its_number(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=SHARDED)
    expected = Embedder(elmo_checkpoint).encode(line.split() for line in LINES)
    found: Dict[str, Any] = {}
    for path in sorted((tmp_path / "out").glob("*.hdf5")):
        with h5py.File(path) as file:
            found.update({key: file[key][...] for key in file})
    assert sorted(found) == ["0", "1", "2", "3", "4"]
    for number, array in enumerate(expected):
        np.testing.assert_allclose(found[str(number)], array, atol=1e-5)


def test_shards_end_with_the_sentence_that_fills_them(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    made = extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=SHARDED)
    folder = FeatureFolder(tmp_path / "out")
    assert [(shard.first, shard.sentences, shard.tokens) for shard in folder.shards] == [(0, 3, 12), (3, 2, 9)]
    assert [tokens for shard in folder.shards for tokens in folder.tokens(shard)] == [line.split() for line in LINES]
    assert (made.n_made, made.missing, made.record["sentences"], made.record["tokens"]) == (2, [], 5, 21)


def test_command_tells_what_it_made(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    result = run(text, tmp_path / "out", "-m", elmo_checkpoint)
    assert result.exit_code == 0, result.output
    for words in ("Sentences", "5", "Tokens", "21", "3 layers, width 8, float32", f"✔ {tmp_path / 'out'}"):
        assert words in result.output


@pytest.mark.parametrize("name", ["one.hdf5", "one.h5", "one.safetensors"])
def test_a_single_file_holds_what_the_shards_would(text: Path, tmp_path: Path, elmo_checkpoint: str, name: str) -> None:
    file_format = "safetensors" if name.endswith("s") else "hdf5"
    settings = FeatureSettings(shard_tokens=8, file_format=file_format, layer="-1", dtype="float16")
    extract([str(text)], tmp_path / name, pretrained=elmo_checkpoint, settings=settings)
    if file_format == "safetensors":
        found = load_file(tmp_path / name)
    else:
        with h5py.File(tmp_path / name) as file:
            found = {key: file[key][...] for key in file}
    expected = Embedder(elmo_checkpoint).encode((line.split() for line in LINES), layer=-1)
    assert [found[str(number)].shape for number in range(5)] == [array.shape for array in expected]
    for number, array in enumerate(expected):
        assert found[str(number)].dtype == np.float16
        np.testing.assert_allclose(found[str(number)], array, atol=3e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "one.tokens.txt", "text.txt"]
    assert (tmp_path / "one.tokens.txt").read_text(encoding="utf8").splitlines() == LINES


def test_the_format_follows_the_name_of_the_file(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    assert run(text, tmp_path / "one.safetensors", "-m", elmo_checkpoint).exit_code == 0
    assert set(load_file(tmp_path / "one.safetensors")) == {"0", "1", "2", "3", "4"}
    result = run(text, tmp_path / "two.hdf5", "-m", elmo_checkpoint, "--format", "safetensors")
    assert result.output == f"✘ [G056] {tmp_path / 'two.hdf5'} must end in .safetensors.\n"


def test_interrupted_and_resumed_equals_uninterrupted(
    text: Path, tmp_path: Path, elmo_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FeatureSettings(shard_tokens=1)  # a shard for each line with words
    arguments: Dict[str, Any] = {"pretrained": elmo_checkpoint, "settings": settings}
    extract([str(text)], tmp_path / "whole", **arguments)

    real, n_calls = FeatureFolder.make, 0

    def stop_at_third(self: FeatureFolder, *args: Any, **kwargs: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 3:
            raise KeyboardInterrupt
        real(self, *args, **kwargs)

    monkeypatch.setattr(FeatureFolder, "make", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        extract([str(text)], tmp_path / "out", **arguments)
    assert len(FeatureFolder(tmp_path / "out").missing()) == 2
    monkeypatch.undo()
    made = extract([str(text)], tmp_path / "out", **arguments)
    assert made.n_made == 2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_interrupt_says_that_work_is_kept(
    text: Path, tmp_path: Path, elmo_checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FeatureFolder, "make", interrupt)
    result = run(text, tmp_path / "out", "-m", elmo_checkpoint)
    assert result.exit_code == 130
    assert "Finished shards are kept; the same command goes on from there." in result.output


def test_a_finished_extraction_is_not_made_again(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    for output in (tmp_path / "out", tmp_path / "one.hdf5"):
        extract([str(text)], output, pretrained=elmo_checkpoint)
        assert extract([str(text)], output, pretrained=elmo_checkpoint).n_made == 0


def test_a_shard_whose_file_was_cut_is_made_again(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=SHARDED)
    before = contents(tmp_path / "out")
    broken = tmp_path / "out" / "features-00001.hdf5"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=SHARDED).n_made == 1
    assert contents(tmp_path / "out") == before


def test_parts_together_make_the_whole(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    settings = FeatureSettings(shard_tokens=1, file_format="safetensors")
    arguments: Dict[str, Any] = {"pretrained": elmo_checkpoint, "settings": settings}
    extract([str(text)], tmp_path / "whole", **arguments)
    first = extract([str(text)], tmp_path / "out", part=(2, 2), **arguments)
    assert (first.n_made, first.missing) == (2, ["features-00000", "features-00002"])
    second = extract([str(text)], tmp_path / "out", part=(1, 2), **arguments)
    assert (second.n_made, second.missing) == (2, [])
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", ""])
def test_a_wrong_part_is_one_clear_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\[G049\] --part = .* must name one part of several, such as 2/8"):
        parse_part(text)


@pytest.mark.slow
def test_several_processes_make_the_same_files(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    settings = FeatureSettings(shard_tokens=1)
    for n_process, name in ((1, "one"), (2, "two")):
        extract([str(text)], tmp_path / name, pretrained=elmo_checkpoint, settings=settings, n_process=n_process)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_leaves_whole_shards_only(tmp_path: Path, elmo_checkpoint: str) -> None:
    text, output = tmp_path / "long.txt", tmp_path / "out"
    text.write_text("\n".join(["The cats sat on the mat ."] * 60_000), encoding="utf8")
    command = [sys.executable, "-m", "glomo_spacy", "extract", text, output, "-m", elmo_checkpoint, "-p", "2"]
    process = subprocess.Popen(
        [*map(str, command), "--shard-tokens", "4000"],
        stderr=subprocess.PIPE,
        start_new_session=True,
        # What runs in the background of a shell has Ctrl-C switched off, and so have its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while not list(output.glob("*.done")):
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert b"Finished shards are kept" in errors
    assert not list(output.glob(".*"))
    folder = FeatureFolder(output)
    assert 0 < len(folder.missing()) < len(folder.shards)


def test_a_process_that_dies_is_one_clear_error(text: Path, tmp_path: Path) -> None:
    class Dead:
        exitcode = -9

        def is_alive(self) -> bool:
            return False

    class Silent:
        def get(self, timeout: float) -> None:
            import queue

            raise queue.Empty

    with pytest.raises(RuntimeError, match=r"\[G051\] A process that extracted features ended with -9"):
        _workers.listen([Dead()], Silent(), print, error=Errors.G051)


def test_an_error_of_a_process_is_raised_in_the_main_one() -> None:
    class Failed:
        exitcode = 0

        def is_alive(self) -> bool:
            return True

    class Queue:
        messages: List[Any] = [5, ValueError("[G900] full")]

        def get(self, timeout: float) -> Any:
            return self.messages.pop(0)

    seen: List[int] = []
    with pytest.raises(ValueError, match=r"\[G900\] full"):
        _workers.listen([Failed()], Queue(), seen.append, error=Errors.G051)
    assert seen == [5]


@pytest.mark.parametrize("output", ["out", "one.hdf5"])
def test_other_settings_text_or_weights_do_not_mix(
    text: Path, tmp_path: Path, elmo_checkpoint: str, output: str
) -> None:
    extract([str(text)], tmp_path / output, pretrained=elmo_checkpoint)
    settings = FeatureSettings(layer="mean", dtype="float16")
    with pytest.raises(ValueError, match=r"\[G047\] .* layer was all, is mean; dtype was float32, is float16"):
        extract([str(text)], tmp_path / output, pretrained=elmo_checkpoint, settings=settings)
    text.write_text("Another text .\n", encoding="utf8")
    with pytest.raises(ValueError, match=r"\[G047\] .* text was text.txt .SHA-256 \w{8}…., is text.txt .SHA"):
        extract([str(text)], tmp_path / output, pretrained=elmo_checkpoint)
    made = extract([str(text)], tmp_path / output, pretrained=elmo_checkpoint, force=True)
    assert (made.n_made, made.record["sentences"]) == (1, 1)


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_extraction_is_never_touched(text: Path, tmp_path: Path, elmo_checkpoint: str, force: bool) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"\[G050\] .*out exists and holds no features"):
        extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, force=force)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_single_file_of_another_program_is_never_replaced(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    with h5py.File(tmp_path / "theirs.hdf5", "w") as file:
        file["0"] = [1.0]
    before = (tmp_path / "theirs.hdf5").read_bytes()
    for force in (False, True):
        with pytest.raises(FileExistsError, match=r"\[G050\] .*theirs.hdf5 exists and holds no features"):
            extract([str(text)], tmp_path / "theirs.hdf5", pretrained=elmo_checkpoint, force=force)
    assert (tmp_path / "theirs.hdf5").read_bytes() == before


def test_raw_text_is_tokenised_and_cut_into_sentences(tmp_path: Path, elmo_checkpoint: str) -> None:
    (tmp_path / "raw.txt").write_text("Dogs bark. Cats don't!\n\nA  third\tone", encoding="utf8")
    settings = FeatureSettings(raw=True)
    extract([str(tmp_path / "raw.txt")], tmp_path / "out", pretrained=elmo_checkpoint, settings=settings)
    folder = FeatureFolder(tmp_path / "out")
    expected = [["Dogs", "bark", "."], ["Cats", "do", "n't", "!"], ["A", "third", "one"]]
    assert list(folder.tokens(folder.shards[0])) == expected
    for (tokens, array), sentence in zip(folder.read(folder.shards[0]), expected, strict=True):
        assert tokens == sentence
        assert array.shape == (3, len(sentence), 8)


def test_carried_state_goes_through_the_whole_text_in_one_shard(
    text: Path, tmp_path: Path, elmo_checkpoint: str
) -> None:
    settings = FeatureSettings(state="carry", shard_tokens=1)
    extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=settings)
    folder = FeatureFolder(tmp_path / "out")
    embedder = Embedder(elmo_checkpoint, state="carry")
    expected = [embedder.encode([line.split()])[0] for line in LINES]
    (shard,) = folder.shards
    for (_, array), other in zip(folder.read(shard), expected, strict=True):
        np.testing.assert_allclose(array, other, atol=1e-5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"file_format": "csv"}, r"\[G100\] file_format = 'csv' is not available. Choose one of: hdf5, safetensors"),
        ({"dtype": "int8"}, r"\[G100\] dtype = 'int8'"),
        ({"state": "warm"}, r"\[G100\] state = 'warm'"),
        ({"layer": "top"}, r"\[G100\] layer = 'top' is not available. Choose one of: all, mean"),
        ({"shard_tokens": 0}, r"\[G101\] shard_tokens must be at least 1, but is 0"),
    ],
)
def test_a_wrong_setting_is_named(change: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureSettings(**change)


def test_a_layer_that_is_not_there_is_named_before_the_text_is_read(tmp_path: Path, elmo_checkpoint: str) -> None:
    result = run(tmp_path / "nothing.txt", tmp_path / "out", "-m", elmo_checkpoint, "--layer", "9")
    assert result.output.startswith("✘ [G100] layer = 9 is not available.")
    assert not (tmp_path / "out").exists()


def test_a_pattern_that_matches_nothing_is_one_clear_error(tmp_path: Path, elmo_checkpoint: str) -> None:
    result = run(tmp_path / "*.txt", tmp_path / "out", "-m", elmo_checkpoint)
    assert result.exit_code == 1
    assert result.output.startswith("✘ [G004] No file matches")


@pytest.mark.parametrize("content", ["{", "[]", '{"format_version": 1}', '{"format_version": 1, "raw": 5}'])
def test_a_damaged_record_is_one_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "extract.json").write_text(content)
    with pytest.raises(ValueError, match=r"\[G058\] .*extract.json is damaged"):
        FeatureFolder(tmp_path)


def test_a_record_of_a_later_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "extract.json").write_text(json.dumps({"format_version": 2}))
    with pytest.raises(ValueError, match=r"\[G058\] .* it is of format 2, but this version reads 1"):
        FeatureFolder(tmp_path)


def test_a_token_with_a_space_inside_stays_one_token(tmp_path: Path) -> None:
    header = {**FeatureSettings().__dict__, "n_layers": 3, "width": 8}
    folder = FeatureFolder.create(tmp_path / "out", [["New York", "a\u2028b"], ["x"]], header=header)
    assert [len(tokens) for tokens in folder.tokens(folder.shards[0])] == [2, 1]
