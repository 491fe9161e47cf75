"""The table, the progress line and the log."""

import builtins
import io
import json

import pytest

from glomo_spacy.training.loggers import RunLog

ROW = {
    "tokens": 1_234_567, "epoch": 1.5, "learn_rate": 0.004, "train_loss": 4.0, "loss": 5.0,
    "perplexity": 148.4, "tokens_per_second": 9_900.0,
}  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_evaluation_is_one_line_under_one_header(tmp_path):
    stream = io.StringIO()
    log = RunLog(tmp_path, stream=stream, tensorboard=False)
    log.row(ROW, seconds_left=3_725.0, note="best")
    log.row(ROW, seconds_left=None)
    log.close()
    header, first, second = stream.getvalue().splitlines()
    assert header.split() == ["tokens", "epoch", "rate", "train", "held-out", "perplexity", "tokens/s", "ETA"]
    assert first.split() == ["1.23M", "1.50", "0.004", "4.000", "5.0000", "148.4", "9.9k", "1:02:05", "best"]
    assert second.split()[-1] == "-"
    assert len(header) == len(second)


def test_the_progress_line_is_drawn_on_a_terminal_only(tmp_path):
    plain, terminal = RunLog(tmp_path / "plain", stream=io.StringIO(), tensorboard=False), Terminal()
    assert not plain.is_drawing
    log = RunLog(tmp_path / "terminal", stream=terminal, tensorboard=False)
    assert log.is_drawing
    log.progress(used=0.5, tokens=2_000, speed=500.0, seconds_left=4.0)
    assert not log.is_drawing  # not twice within a fifth of a second
    log.say("a line")
    log.close()
    plain.close()
    assert "50.0%  2k tokens  500/s  ETA 0:00:04" in terminal.getvalue()
    assert "\r\x1b[Ka line\n" in terminal.getvalue()


def test_a_resumed_log_drops_what_will_be_made_again_and_a_line_that_was_cut(tmp_path):
    rows = [json.dumps({"event": "train", "step": step}) for step in (1, 2, 3)]
    (tmp_path / "log.jsonl").write_text("\n".join(rows) + '\n{"event": "tr')
    log = RunLog(tmp_path, stream=None, tensorboard=False, resumed_step=2)
    log.record("train", 3, loss=1.0)
    log.close()
    steps = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [
        {"event": "train", "step": 1},
        {"event": "train", "step": 2},
        {"event": "train", "step": 3, "loss": 1.0},
    ]


def test_other_processes_write_nothing(tmp_path):
    stream = io.StringIO()
    log = RunLog(tmp_path / "run", stream=stream, tensorboard=True, is_writer=False)
    log.record("train", 1, loss=1.0)
    log.row(ROW, seconds_left=None)
    log.close()
    assert (stream.getvalue(), (tmp_path / "run").exists()) == ("", False)


def test_missing_tensorboard_is_named_with_its_pip_line(tmp_path, monkeypatch):
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if "tensorboard" in name:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ImportError, match=r"\[G302\].*pip install 'glomo-spacy\[tensorboard\]'"):
        RunLog(tmp_path, stream=None, tensorboard=True)


def test_numbers_go_to_tensorboard(tmp_path, monkeypatch):
    class Board:
        def __init__(self):
            self.scalars, self.is_open = [], True

        def add_scalar(self, name, value, step):
            self.scalars.append((name, value, step))

        def close(self):
            self.is_open = False

    board = Board()
    monkeypatch.setattr("glomo_spacy.training.loggers._summary_writer", lambda folder, step: board)
    log = RunLog(tmp_path, stream=None, tensorboard=True)
    log.record("evaluation", 4, loss=5.0, heads=["left 1.0"])
    log.close()
    assert (board.scalars, board.is_open) == ([("evaluation/loss", 5.0, 4)], False)


def test_one_directory_is_written_by_one_run(tmp_path):
    log = RunLog(tmp_path, stream=None, tensorboard=False)
    log.record("train", 1)
    with pytest.raises(RuntimeError, match=r"\[G319\] Another run writes to .*Wait until it ends"):
        RunLog(tmp_path, stream=None, tensorboard=False)
    RunLog(tmp_path, stream=None, tensorboard=False, is_writer=False).close()  # another process of the same run
    log.record("train", 2)
    log.close()
    RunLog(tmp_path, stream=None, tensorboard=False, resumed_step=2).close()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
