"""`glomo-spacy evaluate-lm`: held-out loss and perplexity of a checkpoint, on prepared corpora or on text."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ._app import Arg, Opt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_UNROLL = 20  # words of a biLM's row at a time, as in training


def evaluate_lm_cli(
    # fmt: off
    checkpoint: Path = Arg(..., help="Checkpoint directory, e.g. model-best of a run", exists=True, file_okay=False),
    text: List[str] = Arg(
        ..., help="Directory written by prepare; or, for ELMo, text files, one tokenised sentence a line, or --raw"
    ),
    as_json: bool = Opt(False, "--json", help="Print the numbers as JSON"),
    raw: bool = Opt(False, "--raw", help="ELMo: the text is raw; let spaCy tokenise it and find the sentences"),
    lang: str = Opt("en", "--lang", "-l", help="ELMo: language of the tokeniser, for --raw"),
    split: str = Opt("dev", "--split", help="Which part of a corpus: dev or train"),
    batch_size: int = Opt(32, "--batch-size", help="Windows at a time; for ELMo rows, each begun with a zero state"),
    max_batches: Optional[int] = Opt(None, "--max-batches", help="Use only so many batches from the beginning"),
    bptt: int = Opt(200, "--bptt", help="GLoMo: tokens per window"),
    shift: int = Opt(100, "--shift", help="GLoMo: tokens from one window's begin to the next one's"),
    n_positions: Optional[int] = Opt(None, "--n-positions", help="GLoMo: positions per batch and direction; or all"),
    seed: int = Opt(1, "--seed", help="GLoMo: draws the positions"),
    device: str = Opt("cpu", "--device", help="torch device, e.g. cpu or cuda:0"),
    output: Optional[Path] = Opt(None, "--output", "-o", help="Also write the numbers to this JSON file"),
    # fmt: on
) -> None:
    """Measure how well a checkpoint predicts held-out text: loss in nats per word, and perplexity.

    Every word counts once, over the whole vocabulary. Perplexities compare only for equal text and vocabulary. The
    numbers equal those of training if windows, positions and seed do.
    """
    from ..models.checkpoint import read_checkpoint

    if read_checkpoint(checkpoint).kind == "elmo":
        measures = evaluate_bilm(
            checkpoint,
            text,
            raw=raw,
            lang=lang,
            split=split,
            batch_size=batch_size,
            max_batches=max_batches,
            device=device,
        )
    else:
        measures = evaluate_glomo(
            checkpoint,
            _single_directory(checkpoint, text),
            split=split,
            bptt=bptt,
            shift=shift,
            batch_size=batch_size,
            max_batches=max_batches,
            n_positions=n_positions,
            seed=seed,
            device=device,
        )
    report = json.dumps(measures, indent=2)
    print(report if as_json else _table(measures))
    if output is not None:
        output.write_text(report + "\n", encoding="utf8")


def evaluate_bilm(
    checkpoint: Path,
    text: Sequence[str],
    *,
    raw: bool,
    lang: str,
    split: str,
    batch_size: int,
    max_batches: Optional[int],
    device: str,
) -> Dict[str, Any]:
    """Measure a biLM. Arguments as the command's options.

    RETURNS (Dict[str, Any]): As `held_out_perplexity`, and `n_words`, the size of the vocabulary; `n_tokens` and
        `unknown_rate`, how many of the tokens it lacks.
    RAISES: ValueError G154 for a checkpoint without its soft-max, G318 for a text without tokens; else as
        `load_checkpoint`, `SentenceCorpus` and `find_text_files`.
    """
    from itertools import islice

    import torch

    from ..corpora.sentence_streams import lay_out
    from ..errors import Errors
    from ..evaluation.bilm import held_out_perplexity
    from ..models.checkpoint import build_model, read_checkpoint
    from ..models.elmo.windows import WindowMaker

    parts = read_checkpoint(checkpoint)
    model: Any = build_model(parts, source=str(checkpoint)).to(device)
    if model.softmax is None or parts.vocab is None:
        raise ValueError(Errors.G154)
    types, sentences = _read_types(text, raw=raw, lang=lang, split=split)
    maker = WindowMaker(types, words=parts.vocab, indexer=model.indexer)
    batches = islice(lay_out(sentences, batch_size=batch_size, unroll=_UNROLL), max_batches)
    measures = held_out_perplexity(model, batches, maker, device=torch.device(device))
    if not measures["n_tokens"]:
        raise ValueError(Errors.G318.format(text=", ".join(text)))
    return {**measures, "n_words": len(parts.vocab)}


def _read_types(
    text: Sequence[str], *, raw: bool, lang: str, split: str
) -> Tuple[List[str], Iterable["npt.NDArray[np.int64]"]]:
    """The different tokens of a text after the special ones, and its sentences as their numbers."""
    import numpy as np

    from ..corpora.sentence_shards import SentenceCorpus
    from ..corpora.text_files import find_text_files
    from ..indexers import SPECIALS
    from ._sentences import read_sentences

    if len(text) == 1 and Path(text[0]).is_dir():
        corpus = SentenceCorpus(text[0], split=split)
        return corpus.types, corpus.documents()
    numbers = {word: number for number, word in enumerate(SPECIALS)}
    sentences = []
    for sentence in read_sentences(find_text_files(text), raw=raw, lang=lang):
        if sentence:
            sentences.append(np.array([numbers.setdefault(word, len(numbers)) for word in sentence], dtype=np.int64))
    return list(numbers), sentences


def evaluate_glomo(
    checkpoint: Path,
    corpus: Path,
    *,
    split: str,
    bptt: int,
    shift: int,
    batch_size: int,
    max_batches: Optional[int],
    n_positions: Optional[int],
    seed: int,
    device: str,
) -> Dict[str, Any]:
    """Measure a GLoMo model on a prepared corpus. Arguments as the command's options.

    RETURNS (Dict[str, Any]): As `held_out_loss`.
    RAISES: ValueError G315 if nothing can be predicted, G316 if its words are not the corpus's; else as
        `load_checkpoint` and `ShardedCorpus`.
    """
    from itertools import islice

    import torch

    from ..corpora import EvalWindows, ShardedCorpus
    from ..errors import Errors
    from ..evaluation.perplexity import held_out_loss
    from ..models.checkpoint import build_model, read_checkpoint

    parts = read_checkpoint(checkpoint)
    text = ShardedCorpus(corpus, split=split)
    if parts.vocab != list(text.words):
        raise ValueError(Errors.G316.format(path=checkpoint, corpus=corpus))
    model: Any = build_model(parts, source=str(checkpoint)).to(device)
    windows = EvalWindows(text, batch_size=batch_size, bptt=bptt, shift=shift)
    measures = held_out_loss(
        model,
        islice(windows, max_batches),
        n_positions=n_positions,
        seed=seed,
        device=torch.device(device),
    )
    if not measures["n_targets"]:
        raise ValueError(Errors.G315.format(corpus=corpus, dec_len=model.config.dec_len))
    return measures


def _single_directory(checkpoint: Path, text: Sequence[str]) -> Path:
    """The prepared corpus that a GLoMo model is measured on.

    RAISES: ValueError G317 for anything else.
    """
    from ..errors import Errors

    if len(text) != 1 or not Path(text[0]).is_dir():
        raise ValueError(Errors.G317.format(path=checkpoint, text=", ".join(text)))
    return Path(text[0])


def _table(measures: Dict[str, Any]) -> str:
    """The numbers as lines of text."""
    rows = [
        ("loss", f"{measures['loss']:.4f} nats per word, {measures['n_targets']:,} targets"),
        ("perplexity", f"{measures['perplexity']:.2f}"),
    ]
    for direction in ("forward", "backward"):
        if measures.get(f"loss_{direction}") is not None:
            perplexity = measures[f"perplexity_{direction}"]
            rows.append((direction, f"{measures[f'loss_{direction}']:.4f}, perplexity {perplexity:.2f}"))
    if "n_words" in measures:
        rows.append(("vocabulary", f"{measures['n_words']:,} words"))
        rows.append(("unknown", f"{measures['unknown_rate']:.2%} of {measures['n_tokens']:,} tokens"))
    rows += [(f"{step} ahead", f"{loss:.4f}") for step, loss in enumerate(measures.get("step_losses", ()), start=1)]
    rows += [(side, f"{measures[f'loss_{side}']:.4f}") for side in ("left", "right") if f"loss_{side}" in measures]
    return "\n".join(f"{name:>12}  {value}" for name, value in rows)
