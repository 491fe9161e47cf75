"""How fast are the Mogrifier LSTM's recurrence, a training step and the pipeline component?

    python benchmarks/mogrifier.py                             one layer, width 650, batch 20, 35 steps, 5 rounds
    python benchmarks/mogrifier.py --parts train infer --width 256 --rank 16 --rounds 9

Parts: `train` (forward and backward pass of a layer beside the plain cell under autograd; the matrix products alone),
`step` (a whole training step beside the public implementation's loop, `tests/reference/mogrifier_torch.py`), `infer`
(a layer without gradients in each precision beside the plain cell, with the error) and `pipe` (words per second of
`nlp.pipe` beside spaCy's stock tok2vec). Weights are random but for `pipe`. Contenders take turns, on one
thread; the table gives medians of processor time and of the clock.
"""

import argparse
import copy
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import spacy  # noqa: E402
import torch  # noqa: E402
from elmo import SAMPLE, Contenders, read_text, run_pipe, stock_tok2vec  # noqa: E402
from glomo import Times, machine, print_table, rows, take_turns  # noqa: E402
from reference.mogrifier_torch import Transcription  # noqa: E402
from torch import Tensor  # noqa: E402

from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig, MogrifierLSTM  # noqa: E402
from glomo_spacy.models.mogrifier.cell import CellSettings  # noqa: E402
from glomo_spacy.models.mogrifier.layer import prepare  # noqa: E402
from glomo_spacy.models.mogrifier.matrices import Precision  # noqa: E402

PRECISIONS = ("float32", "bfloat16", "int8")


class Window:
    """A layer and what it reads: one window of a batch."""

    def __init__(self, options: argparse.Namespace) -> None:
        width, rounds, rank = options.width, options.gates, options.rank
        self.layer = MogrifierLSTM(CellSettings(width, width, rounds=rounds, rank=rank))
        self.sizes = [options.batch] * options.steps
        self.inputs = torch.randn(sum(self.sizes), width).requires_grad_()
        self.state = torch.randn(options.batch, width), torch.randn(options.batch, width)
        self.d_outputs = torch.randn(sum(self.sizes), width)

    def train(self, *, is_plain: bool = False, is_half: bool = False) -> Tensor:
        """One forward and backward pass. RETURNS: The gradient of the inputs."""
        self.layer.zero_grad()
        self.inputs.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            (self._run(is_plain) * self.d_outputs).sum().backward()
        assert self.inputs.grad is not None
        return self.inputs.grad

    @torch.no_grad()
    def infer(self, *, is_plain: bool = False) -> Tensor:
        return self._run(is_plain)

    def in_precision(self, precision: str) -> "Window":
        """The same with a layer of its own, whose weights stay laid out."""
        window = copy.copy(self)
        window.layer = copy.deepcopy(self.layer)
        window.layer.precision = precision
        return window

    def _run(self, is_plain: bool) -> Tensor:
        function = self.layer.plain if is_plain else self.layer
        outputs: Tensor = function(self.inputs, *self.state, self.sizes)[0]
        return outputs

    def products(self, dtype: torch.dtype) -> Callable[[], None]:
        """The products of one forward and backward pass alone, of weights that are laid out already."""
        prepared = prepare(self.layer.weights(), self.layer.settings, Precision(dtype, False, self.sizes[0]))
        forward = [*prepared.gates, prepared.from_input, prepared.from_hidden]
        backward = [matrix.transposed() for matrix in forward]
        sources = [torch.randn(len(self.inputs), matrix.n_in) for matrix in forward]
        results = [torch.randn(len(self.inputs), matrix.n_out) for matrix in forward]

        @torch.no_grad()
        def run() -> None:
            for matrices, packed in ((forward, sources), (backward, results)):
                for values in zip(*(part.split(self.sizes) for part in packed)):
                    for matrix, rows_of_step in zip(matrices, values):
                        matrix(rows_of_step)
            for matrix, result, source in zip(forward, results, sources):
                matrix.gradients(result, source)

        return run


def measure_train(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """The recurrence of one layer, forward and back; `share of products` is what they would take alone."""
    window = Window(options)
    contenders: Contenders = {"plain cell, autograd": partial(window.train, is_plain=True)}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        contenders[f"ours, {name}"] = partial(window.train, is_half=name == "bfloat16")
        contenders[f"products alone, {name}"] = window.products(dtype)
    outputs, times = warm_turns(contenders, options)
    results = rows(f"training a layer, {describe(options)}", times)
    for result in results:
        name = result["contender"]
        if name.startswith("ours"):
            result["share of products"] = times[name.replace("ours", "products alone")][0] / times[name][0]
            result["relative error"] = relative_error(outputs[name], outputs["plain cell, autograd"])
    return results


def measure_infer(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """The recurrence of one layer without gradients."""
    window = Window(options)
    contenders: Contenders = {"plain cell, float32": partial(window.infer, is_plain=True)}
    contenders.update({f"ours, {name}": window.in_precision(name).infer for name in PRECISIONS})
    outputs, times = warm_turns(contenders, options)
    results = rows(f"a layer without gradients, {describe(options)}", times)
    for result in results:
        result["relative error"] = relative_error(outputs[result["contender"]], outputs["plain cell, float32"])
    return results


def measure_step(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Read a window, predict every next word, take one step of clipped gradient descent, carry the state on."""
    contenders: Contenders = {}
    for name in ("public loop, float32", "ours, float32", "ours, bfloat16"):
        torch.manual_seed(0)
        contenders[name] = new_step(options, is_public=name.startswith("public"), is_half=name.endswith("bfloat16"))
    outputs, times = warm_turns(contenders, options)
    results = rows(f"a training step, {options.vocab} words, {describe(options)}", times)
    for result in results:
        result["words per second"] = round(options.batch * options.steps / result["processor s"])
        result["first loss"] = outputs[result["contender"]]
    return results


def new_step(options: argparse.Namespace, *, is_public: bool, is_half: bool) -> Callable[[], float]:
    """A training step of a new model; every call goes on."""
    width = {"embedding_width": options.width, "hidden_width": options.width}
    config = MogrifierConfig(options.vocab, **width, rounds=options.gates, input_gate="free")
    model = LanguageModel(config)
    ids = torch.randint(3, options.vocab, (options.batch, options.steps + 1))
    parts: Tuple[Any, Any] = (model, None)
    if is_public:
        network = Transcription(options.vocab, options.width, options.gates)
        network.load(model.state_dict(), forget_bias=config.forget_bias)
        start = torch.zeros(1, options.batch, options.width)
        parts = (network, (start, start))
    network, state = parts
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)

    def step() -> float:
        nonlocal state
        optimizer.zero_grad()
        if is_public:
            logits, state = network(ids[:, :-1].t(), state)
            targets = ids[:, 1:].t().reshape(-1)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets)
        else:
            with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                outputs, state = network(ids[:, :-1], state)
                loss = network.losses(outputs.flatten(0, 1), ids[:, 1:].reshape(-1)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.25)
        optimizer.step()
        state = type(state)(*map(Tensor.detach, state)) if not is_public else tuple(map(Tensor.detach, state))
        return float(loss.detach())

    return step


def measure_pipe(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Words per second of `nlp.pipe` over texts that are tokenised on the way."""
    read_text(options)
    mogrifier = spacy.blank("en")
    mogrifier.add_pipe("mogrifier_lm", config={"pretrained": options.pretrained} if options.pretrained else {})
    pipelines = {"tok2vec": stock_tok2vec(), "mogrifier_lm": mogrifier}
    contenders: Contenders = {name: partial(run_pipe, nlp, options.texts) for name, nlp in pipelines.items()}
    outputs, times = warm_turns(contenders, options)
    n_words = sum(map(len, outputs["tok2vec"]))
    results = rows(f"nlp.pipe, {len(options.texts)} sentences, {n_words} words", times)
    for result in results:
        result["words per second"] = round(n_words / result["processor s"])
    return results


def warm_turns(contenders: Contenders, options: argparse.Namespace) -> Tuple[Dict[str, Any], Times]:
    """What each contender gives at first, and its median times once memory has settled."""
    outputs = {name: run() for name, run in contenders.items()}
    return outputs, take_turns(contenders, rounds=options.turns)


def relative_error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


def describe(options: argparse.Namespace) -> str:
    rank = "full rank" if options.rank is None else f"rank {options.rank}"
    return f"width {options.width}, batch {options.batch}, {options.steps} steps, {options.gates} rounds, {rank}"


PARTS = {"train": measure_train, "step": measure_step, "infer": measure_infer, "pipe": measure_pipe}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--width", type=int, default=650)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--steps", type=int, default=35)
    parser.add_argument("--gates", type=int, default=5, help="rounds of gating")
    parser.add_argument("--rank", type=int, default=None, help="of the gates' matrices; default: full")
    parser.add_argument("--vocab", type=int, default=10_000, help="words in `step`")
    parser.add_argument("--text", type=Path, default=SAMPLE, help="text file for `pipe`")
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--pretrained", default=None, help="checkpoint for `pipe`; default: the packaged weights")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--output", type=Path, default=None, help="JSON file; default: only the table")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    results: List[Dict[str, Any]] = []
    for part in options.parts:
        torch.manual_seed(0)
        measured = PARTS[part](options)
        print_table(measured)
        sys.stdout.flush()
        results += measured
    if options.output:
        kept = {name: value for name, value in vars(options).items() if name not in ("texts", "tokens", "output")}
        report = {"machine": machine(), "options": {**kept, "text": options.text.name}, "results": results}
        options.output.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf8")
    print(f"\n{json.dumps(machine())}")


if __name__ == "__main__":
    main()
