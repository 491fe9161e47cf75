"""What a run says: one row per evaluation, a progress line on a terminal, a JSONL log, and TensorBoard if asked for."""

import json
import time
from pathlib import Path
from typing import Any, Dict, Optional, TextIO

from filelock import FileLock, Timeout

from ..errors import Errors
from ..files import atomic_write

LOG, LOCK = "log.jsonl", "log.jsonl.lock"
_ROW = "{tokens:>8} {epoch:>6} {rate:>9} {train:>7} {held_out:>8} {shown:>10} {speed:>8} {left:>8} {note}"
_HEADER = {
    "tokens": "tokens", "epoch": "epoch", "rate": "rate", "train": "train", "held_out": "held-out",
    "speed": "tokens/s", "left": "ETA", "note": "",
}  # fmt: skip
_REDRAW_SECONDS = 0.2


class RunLog:
    """All outputs of one run; silent on every process but the first.

    While a log is open, no other process can open one in the same directory; a process that dies, however, lets go.

    output (Path): The run's directory; `log.jsonl` and `tensorboard/` stand in it.
    stream (Optional[TextIO]): Where rows and progress go; None: nowhere.
    tensorboard (bool): Also write TensorBoard event files.
    is_writer (bool): Whether this process writes at all.
    resumed_step (int): Later rows of an earlier run are taken out of the log, since they will be made again.
    RAISES: ImportError G302 if TensorBoard is asked for and missing; RuntimeError G319 if another run writes there.
    """

    def __init__(
        self,
        output: Path,
        *,
        stream: Optional[TextIO],
        tensorboard: bool,
        is_writer: bool = True,
        resumed_step: int = 0,
    ) -> None:
        self._stream = stream if is_writer else None
        self._is_terminal = self._stream is not None and self._stream.isatty()
        self._next_draw = 0.0
        self._has_header = False
        self._file: Optional[TextIO] = None
        self._board: Any = None
        self._lock = FileLock(output / LOCK, blocking=False)
        if is_writer:
            output.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout as error:
                raise RuntimeError(Errors.G319.format(output=output)) from error
            if tensorboard:
                self._board = _summary_writer(output / "tensorboard", resumed_step)
            _keep_rows(output / LOG, until=resumed_step)
            self._file = (output / LOG).open("a", encoding="utf8")

    def record(self, event: str, step: int, **values: Any) -> None:
        """Append one line to the log, and its numbers to TensorBoard."""
        if self._file is not None:
            self._file.write(json.dumps({"event": event, "step": step, **values}) + "\n")
            self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{event}/{name}", value, step)

    def row(
        self, values: Dict[str, Any], *, shown: str = "perplexity", seconds_left: Optional[float], note: str = ""
    ) -> None:
        """Write an evaluation as one line of the table.

        values (Dict[str, Any]): tokens, epoch, learn_rate, train_loss, loss, tokens_per_second, and what `shown` names.
        shown (str): The measure beside the loss.
        seconds_left (Optional[float]): Estimate until the budget is used.
        note (str): At the end of the line, e.g. "best".
        """
        if not self._has_header:
            self.say(_ROW.format(**_HEADER, shown=shown).rstrip())
            self._has_header = True
        cells = {
            "tokens": _short(values["tokens"]),
            "epoch": f"{values['epoch']:.2f}",
            "rate": f"{values['learn_rate']:.3g}",
            "train": f"{values['train_loss']:.3f}",
            "held_out": f"{values['loss']:.4f}",
            "shown": f"{values[shown]:.1f}",
            "speed": _short(values["tokens_per_second"]),
            "left": _duration(seconds_left),
            "note": note,
        }
        self.say(_ROW.format(**cells).rstrip())

    @property
    def is_drawing(self) -> bool:
        """Whether it is time to redraw the progress line: on a terminal only, at most five times a second."""
        return self._is_terminal and time.monotonic() >= self._next_draw

    def progress(self, *, used: float, tokens: int, speed: float, seconds_left: Optional[float]) -> None:
        """Redraw the progress line."""
        if self._stream is None:
            return
        self._next_draw = time.monotonic() + _REDRAW_SECONDS
        filled = int(30 * min(used, 1.0))
        bar = "█" * filled + "·" * (30 - filled)
        text = f"{bar} {used:6.1%}  {_short(tokens)} tokens  {_short(speed)}/s  ETA {_duration(seconds_left)}"
        self._stream.write(f"\r\x1b[K{text}")
        self._stream.flush()

    def say(self, text: str) -> None:
        """Write one line of text, over the progress line if there is one."""
        if self._stream is not None:
            self._stream.write(f"\r\x1b[K{text}\n" if self._is_terminal else f"{text}\n")
            self._stream.flush()

    def close(self) -> None:
        """End the outputs."""
        if self._is_terminal and self._stream is not None:
            self._stream.write("\r\x1b[K")
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()
        self._lock.release()


def _keep_rows(path: Path, *, until: int) -> None:
    """Drop what a resumed run will write again, and a last line that was cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf8").splitlines():
        try:
            if json.loads(line)["step"] <= until:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    with atomic_write(path, text=True) as file:
        file.writelines(f"{line}\n" for line in kept)


def _summary_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(Errors.G302) from error
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def _short(number: float) -> str:
    """1234567 as 1.23M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _duration(seconds: Optional[float]) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
