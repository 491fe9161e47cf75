"""One cell of an ablation: train a pipeline by spaCy's own loop, score the saved one, and keep the figures."""

import json
import shutil
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np
from confection import Config
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import import_file, load_model, registry
from thinc.api import require_gpu

from ..errors import Errors
from ..evaluation.bootstrap import Counts
from ..files import atomic_write
from ._ablation_counts import count_by_document
from ._workers import one_thread

CONFIG, LOG, COUNTS, RESULT = "config.cfg", "train.log", "counts.npz", "result.json"
MODEL, TRAINING = "model", "training"  # folders: the pipeline that was scored, and spaCy's own output meanwhile

_N_PARTS = 3  # of the test text, for the median speed
_SPEED_WORDS = 10_000  # of the test text whose annotation is timed, in all parts together


@dataclass(frozen=True)
class Job:
    """All that a process needs to know to make a cell.

    name (str): For messages, e.g. "elmo, 10 %, seed 3".
    folder (Path): The cell's own.
    config (str): Its training config.
    test (str): The corpus that is scored.
    evaluate (str): "last" or "best".
    scores (Sequence[str]): Scores to report; all are kept.
    keep_model (bool): Leave the scored pipeline in the folder.
    code (Optional[Path]): Python file with the user's own registered functions.
    use_gpu (int): GPU, or -1 for the CPU.
    """

    name: str
    folder: Path
    config: str
    test: str
    evaluate: str
    scores: Sequence[str] = ()
    keep_model: bool = False
    code: Optional[Path] = None
    use_gpu: int = -1


def make_cell(job: Job) -> Optional[str]:
    """Make a cell whole; a finished one is one with a result.

    RETURNS (Optional[str]): Why it failed, None if it did not. The log in its folder then tells where.
    """
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    Config().from_str(job.config).to_disk(job.folder / CONFIG)
    try:
        with one_thread(), (job.folder / LOG).open("w", encoding="utf8") as log:
            result = _train_and_score(job, log)
        with atomic_write(job.folder / RESULT, text=True) as file:
            file.write(json.dumps(result, indent=2) + "\n")
    except Exception as error:  # whatever a pipeline raises: other cells go on
        with (job.folder / LOG).open("a", encoding="utf8") as log:
            traceback.print_exc(file=log)
        return " ".join(f"{type(error).__name__}: {error}".split())
    finally:
        shutil.rmtree(job.folder / TRAINING, ignore_errors=True)
    return None


def is_made(folder: Path) -> bool:
    """Whether a cell is finished."""
    return (folder / RESULT).is_file()


def read_result(folder: Path) -> Dict[str, Any]:
    """The figures of a finished cell: "scores", "speed", "bytes", "seconds" and how they came about."""
    result: Dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf8"))
    return result


def read_counts(folder: Path) -> Dict[str, Counts]:
    """What the scores of a finished cell count in each test document, by name of the score."""
    with np.load(folder / COUNTS, allow_pickle=False) as arrays:
        return dict(arrays)


def _train_and_score(job: Job, log: Any) -> Dict[str, Any]:
    if job.code is not None:
        import_file("python_code", job.code)
    if job.use_gpu >= 0:
        require_gpu(job.use_gpu)
    config = Config().from_str(job.config)
    clock = time.process_time if job.use_gpu < 0 else time.perf_counter
    begin = clock()
    output = job.folder / TRAINING
    output.mkdir()
    train(init_nlp(config, use_gpu=job.use_gpu), output, use_gpu=job.use_gpu, stdout=log, stderr=log)
    seconds = clock() - begin
    path = output / f"model-{job.evaluate}"
    nlp = load_model(path)
    examples = _read_corpus(job.test, config, nlp)
    speed = words_per_second(nlp, [example.predicted for example in examples], clock=clock)
    scores = score(nlp, examples)
    counts = count_by_document(examples, scores)
    np.savez_compressed(job.folder / COUNTS, **counts)  # type: ignore[arg-type]  # its other argument is a flag
    n_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if job.keep_model:
        path.rename(job.folder / MODEL)
    return {
        "test": job.test,
        "evaluate": job.evaluate,
        "documents": len(examples),
        "words": sum(len(example.predicted) for example in examples),
        "scores": scores,
        "speed": speed,
        "bytes": n_bytes,
        "seconds": round(seconds, 1),
    }


def score(nlp: Language, examples: Sequence[Example]) -> Dict[str, Any]:
    """Annotate examples and score them, as `nlp.evaluate` does, but keep the annotations."""
    docs = nlp.pipe([example.predicted for example in examples])
    for example, doc in zip(examples, docs):
        example.predicted = doc
    scores = Scorer(nlp).score(examples)
    return {name: value if value is None else float(value) for name, value in scores.items() if _is_single(value)}


def words_per_second(nlp: Language, docs: Sequence[Doc], *, clock: Callable[[], float]) -> Optional[float]:
    """The median speed over some parts of a text that the pipeline has not seen, tokenised before.

    Parts differ, so that nothing that is remembered from one helps with another; a first part only warms up.

    nlp (Language): The pipeline.
    docs (Sequence[Doc]): Without annotations; they are left so.
    clock (Callable[[], float]): Seconds, of the processor for a speed that other programs do not change.
    RETURNS (Optional[float]): Words a second. None if there are too few documents.
    """
    speeds = []
    for part in _parts(docs, n_parts=_N_PARTS + 1, n_words=_SPEED_WORDS):
        copies = [doc.copy() for doc in part]
        begin = clock()
        for _ in nlp.pipe(copies):
            pass
        if (seconds := clock() - begin) > 0:
            speeds.append(sum(map(len, part)) / seconds)
    return round(median(speeds[1:]), 1) if len(speeds) > 1 else None


def _parts(docs: Sequence[Doc], *, n_parts: int, n_words: int) -> List[List[Doc]]:
    """Consecutive parts of about equal length, of the first so many words. Empty ones are left out."""
    ends = np.cumsum([len(doc) for doc in docs])
    total = min(n_words, int(ends[-1])) if len(ends) else 0
    parts: List[List[Doc]] = [[] for _ in range(n_parts)]
    for doc, end in zip(docs, ends):
        if (begin := end - len(doc)) < total:
            parts[int(begin * n_parts // total)].append(doc)
    return [part for part in parts if part]


def _read_corpus(name: str, config: Config, nlp: Language) -> List[Example]:
    block: Any = config
    for key in name.split("."):
        block = block[key]
    corpus = registry.resolve({"corpus": block})["corpus"]
    if not (examples := list(corpus(nlp))):
        raise ValueError(Errors.G972.format(name=name))
    return examples


def _is_single(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, np.floating))
