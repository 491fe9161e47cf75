"""How many questions does the reader learn from and answer in a second?

    python benchmarks/squad.py                                  made-up questions of SQuAD's lengths
    python benchmarks/squad.py --corpus corpus/ --graphs inputs --parts train --output results.json

Parts: `train` (a training step on a batch, its frozen graphs included) and `infer`. *Plain* is the data flow of the
published code in torch's own layers (`tests/reference/reader_torch.py`): everything padded to 400 and 50 tokens, or to
the longest text of the batch; graphs as lists with one entry per layer, made by the plain formulas of
`tests/reference/glomo_torch.py`. All begin with the same random weights, without dropout, and their losses after the
last step are compared. *Shared* gives a context once to all its questions. Contenders take turns on one thread; the
table gives medians of processor time and of the clock.
"""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from glomo import machine, make_pair, print_table, rows, take_turns  # noqa: E402
from reference.reader_torch import Transcription as PlainReader  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from glomo_spacy.corpora.squad_corpus import SquadCorpus  # noqa: E402
from glomo_spacy.models.glomo import GlomoModel  # noqa: E402
from glomo_spacy.models.qa import ReaderConfig, ReaderModel, Side  # noqa: E402

LIMITS = 400, 50  # tokens that contexts and questions are padded to
ALPHABET = "".join(map(chr, range(33, 127)))
PER_CONTEXT = 5  # questions, on average 4.6 in SQuAD


class Question(NamedTuple):
    """Type ids of context and question, number of the context, first and last token of the answer."""

    context: Tensor
    question: Tensor
    owner: int
    answer: Tuple[int, int]


class Contender:
    """A reader and what its frozen graphs come from.

    pad_to (Sequence[int]): Tokens that contexts and questions are padded to at least.
    is_shared (bool): Give each context once.
    """

    def __init__(self, reader: Any, graphs: Any, *, pad_to: Sequence[int] = (0, 0), is_shared: bool = False) -> None:
        self.reader, self.graphs, self.pad_to, self.is_shared = reader, graphs, pad_to, is_shared
        parameters = [each for each in reader.parameters() if each.requires_grad]
        self.optimizer = torch.optim.Adadelta(parameters, lr=0.5, rho=0.95)

    def train(self, batch: Sequence[Question], spellings: Tensor) -> float:
        """One step. RETURNS: The loss before it."""
        self.optimizer.zero_grad()
        start, end = self.read(batch, spellings)
        starts, ends = torch.tensor([question.answer for question in batch]).t()
        loss = F.cross_entropy(start, starts) + F.cross_entropy(end, ends)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def infer(self, batch: Sequence[Question], spellings: Tensor) -> Tensor:
        return self.read(batch, spellings)[0]

    def read(self, batch: Sequence[Question], spellings: Tensor) -> Tuple[Tensor, Tensor]:
        owners = [question.owner if self.is_shared else place for place, question in enumerate(batch)]
        distinct = {owner: question.context for owner, question in zip(owners, batch)}
        context = self.side(list(distinct.values()), self.pad_to[0], spellings)
        question = self.side([question.question for question in batch], self.pad_to[1], spellings)
        if isinstance(self.reader, PlainReader):
            logits: Tuple[Tensor, Tensor] = self.reader(context, question)
            return logits
        places = {owner: place for place, owner in enumerate(distinct)}
        owners = [places[owner] for owner in owners]
        start, end = self.reader(context, question, torch.tensor(owners), is_train=torch.is_grad_enabled())
        return start, end

    def side(self, texts: Sequence[Tensor], pad_to: int, spellings: Tensor) -> Side:
        lengths = torch.tensor([len(text) for text in texts])
        seq = max(pad_to, int(lengths.max()))
        ids = torch.stack([F.pad(text, (0, seq - len(text))) for text in texts])
        mask = torch.arange(seq) < lengths[:, None]
        side = Side(mask, word_ids=ids, char_ids=spellings[ids])
        if self.graphs is not None:
            with torch.no_grad():
                graphs = self.graphs.graphs(ids, mask)  # (batch, 2 * layers, heads, receiver, source)
                side.graphs = list((graphs * mask[:, None, None, :, None]).unbind(1))
        return side


def contenders_for(graph: str, n_types: int, options: argparse.Namespace) -> Dict[str, Contender]:
    """The same reader three times and the plain one twice, all with the same weights."""
    sizes = {"word_width": options.width, "characters": ALPHABET, "graph": graph, "n_mixes": options.mixes}
    sizes.update(graph_layers=options.layers, graph_heads=options.heads)
    config = ReaderConfig(n_words=n_types, **sizes, input_dropout=0.0, dropout=0.0, pointer_dropout=0.0)
    readers: List[Any] = [PlainReader(config), PlainReader(config), ReaderModel(config), ReaderModel(config)]
    state = readers[-1].state_dict()
    for reader in readers[:2]:
        reader.load(state)
    readers[2].load_state_dict(state)
    plain, ours = new_graphs(n_types, options) if graph != "none" else (None, None)
    return {
        f"plain, padded to {LIMITS[0]}": Contender(readers[0], plain, pad_to=LIMITS),
        "plain, padded to the longest": Contender(readers[1], plain),
        "ours": Contender(readers[2], ours),
        "ours, shared contexts": Contender(readers[3], ours, is_shared=True),
    }


def new_graphs(n_types: int, options: argparse.Namespace) -> Tuple[Any, GlomoModel]:
    """A frozen predictor in the size of the packaged one, plain and ours, with equal random weights."""
    sizes = {"layers": options.layers, "heads": options.heads, "width": 128, "head_width": 32, "convolutions": 2}
    return make_pair(argparse.Namespace(vocab=n_types, **sizes))


def measure(part: str, graph: str, options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Questions per second of each contender, and how far its last result is from the plain one's."""
    batch, spellings = (made_up if options.corpus is None else from_corpus)(options)
    contenders = contenders_for(graph, len(spellings), options)
    latest: Dict[str, Any] = {}

    def run(name: str) -> None:
        latest[name] = getattr(contenders[name], part)(batch, spellings)

    runs: Dict[str, Callable[[], Any]] = {name: partial(run, name) for name in contenders}
    lengths = [len(question.context) for question in batch]
    task = f"{part}, graphs: {graph}, {len(batch)} questions, contexts of {min(lengths)}-{max(lengths)} tokens"
    results = rows(task, take_turns(runs, rounds=options.turns))
    plain = next(iter(latest.values()))
    for result in results:
        result["questions per second"] = round(len(batch) / result["processor s"], 1)
        result["difference"] = difference(latest[result["contender"]], plain)
    return results


def difference(found: Any, expected: Any) -> float:
    """Between two losses, or the greatest between two tables of scores of real tokens."""
    if isinstance(found, float):
        return abs(found - expected)
    return float((found - expected[:, : found.shape[1]]).abs().max())


def made_up(options: argparse.Namespace) -> Tuple[List[Question], Tensor]:
    """Questions with the lengths of SQuAD's and words whose counts fall as they do in English."""
    generator = torch.Generator().manual_seed(0)
    n_types = 20_000
    weights = 1.0 / torch.arange(1, n_types + 1)

    def text(mean: float, deviation: float, least: int, most: int) -> Tensor:
        length = int((torch.randn((), generator=generator) * deviation + mean).clamp(least, most))
        return torch.multinomial(weights, length, replacement=True, generator=generator)

    contexts = [text(140, 60, 25, LIMITS[0]) for _ in range(-(-options.batch // PER_CONTEXT))]
    questions = []
    for number in range(options.batch):
        owner = number // PER_CONTEXT
        start = int(torch.randint(len(contexts[owner]) - 3, (), generator=generator))
        questions.append(Question(contexts[owner], text(11, 4, 4, LIMITS[1]), owner, (start, start + 2)))
    return questions, torch.randint(0, len(ALPHABET) + 2, (n_types, 16), generator=generator)


def from_corpus(options: argparse.Namespace) -> Tuple[List[Question], Tensor]:
    """Real questions: those on a few contexts of the training split, drawn at random."""
    corpus = SquadCorpus(options.corpus)
    split = corpus.split("train")
    questions: List[Question] = []
    for owner in np.random.default_rng(0).permutation(split.n_contexts).tolist():
        for index in np.flatnonzero(split.context_of == owner).tolist():
            each = split.question(index)
            if each.answer is not None and len(each.context) <= LIMITS[0] and len(each.question) <= LIMITS[1]:
                ids = torch.from_numpy(each.context), torch.from_numpy(each.question)
                questions.append(Question(*ids, owner, each.answer))
        if len(questions) >= options.batch:
            break
    places = {letter: place for place, letter in enumerate(ALPHABET, start=2)}
    spellings = [[places.get(letter, 1) for letter in word[:16]] for word in corpus.types]
    return questions[: options.batch], torch.tensor([each + [0] * (16 - len(each)) for each in spellings])


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=["train", "infer"], default=["train", "infer"])
    parser.add_argument("--graphs", nargs="+", choices=["none", "inputs", "states"], default=["none", "inputs"])
    parser.add_argument("--corpus", type=Path, default=None, help="as prepare wrote it; default: made up")
    parser.add_argument("--batch", type=int, default=32, help="questions")
    parser.add_argument("--width", type=int, default=300, help="of word vectors")
    parser.add_argument("--layers", type=int, default=2, help="of graphs, per direction")
    parser.add_argument("--heads", type=int, default=8, help="graphs per layer")
    parser.add_argument("--mixes", type=int, default=2, help="mixtures per direction")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--output", type=Path, default=None, help="JSON file; default: only the table")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    results: List[Dict[str, Any]] = []
    for part in options.parts:
        for graph in options.graphs:
            torch.manual_seed(0)
            measured = measure(part, graph, options)
            print_table(measured)
            sys.stdout.flush()
            results += measured
    if options.output:
        kept = {name: str(value) for name, value in vars(options).items() if name != "output"}
        report = {"machine": machine(), "options": kept, "results": results}
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf8")
    print(f"\n{json.dumps(machine())}")


if __name__ == "__main__":
    main()
