"""`glomo-spacy evaluate-lm`: held-out loss and perplexity of a checkpoint, on prepared corpora or on text."""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from ..errors import Errors
from ._app import Arg, Opt, as_typed
from ._evaluate_mogrifier import evaluate_mogrifier
from ._evaluation_text import is_corpus, open_text

_UNROLL = 20  # words of a biLM's row at a time, as in training


def evaluate_lm_cli(
    # fmt: off
    checkpoint: Path = Arg(..., help="Checkpoint directory, e.g. model-best of a run", exists=True, file_okay=False),
    text: List[str] = Arg(
        ..., help="Directory written by prepare; or, not for GLoMo, files, one tokenised sentence a line, or --raw"
    ),
    as_json: bool = Opt(False, "--json", help="Print the numbers as JSON"),
    raw: bool = Opt(False, "--raw", help="The files are raw; let spaCy tokenise them and find the sentences"),
    lang: str = Opt("en", "--lang", "-l", help="Language of the tokeniser, for --raw"),
    split: str = Opt("dev", "--split", help="Which part of a corpus: dev or train"),
    batch_size: Optional[int] = Opt(
        None, "--batch-size", help="Windows (GLoMo) or rows (ELMo) at a time: 32; Mogrifier: columns of the text: 1"
    ),
    max_batches: Optional[int] = Opt(None, "--max-batches", help="GLoMo, ELMo: only so many from the beginning"),
    bptt: int = Opt(200, "--bptt", help="GLoMo: tokens per window"),
    shift: int = Opt(100, "--shift", help="GLoMo: tokens from one window's begin to the next one's"),
    n_positions: Optional[int] = Opt(None, "--n-positions", help="GLoMo: positions per batch and direction; or all"),
    seed: int = Opt(1, "--seed", help="Draws GLoMo's positions and the networks of --monte-carlo"),
    max_tokens: Optional[int] = Opt(None, "--max-tokens", help="Mogrifier: only so many words, sentence ends included"),
    window: Optional[int] = Opt(None, "--window", help="Mogrifier: words read at a time: 70, or 20 with --dynamic"),
    unknown: Optional[str] = Opt(None, "--unknown", help="Mogrifier: token of the files for unknown words, e.g. <unk>"),
    temperature: Optional[float] = Opt(None, "--temperature", help="Mogrifier: logits are divided by it"),
    search_temperature: bool = Opt(False, "--search-temperature", help="Mogrifier: best one on validation text"),
    monte_carlo: Optional[int] = Opt(None, "--monte-carlo", help="Mogrifier: average so many networks with dropout"),
    mean: Optional[str] = Opt(None, "--mean", help="--monte-carlo: arithmetic (default) or geometric"),
    dynamic: bool = Opt(False, "--dynamic", help="Mogrifier: go on learning, from each window once it is scored"),
    learn_rate: List[float] = Opt([], "--learn-rate", help="--dynamic: 0.003; of several, best on validation text"),
    decay: List[float] = Opt([], "--decay", help="--dynamic, pull to the trained weights: 0.02; or several"),
    epsilon: List[float] = Opt([], "--epsilon", help="--dynamic, added to divisors: 0.001; or several"),
    statistics: Optional[int] = Opt(None, "--statistics", help="--dynamic: batches to measure gradients on: 100"),
    train: Optional[Path] = Opt(None, "--train", help="--dynamic: corpus to measure gradients on (default: TEXT)"),
    validation: List[str] = Opt([], "--validation", help="Corpus, or files, to search settings on (default: TEXT)"),
    search_tokens: Optional[int] = Opt(None, "--search-tokens", help="So many words of validation text: 20000"),
    device: str = Opt("cpu", "--device", help="torch device, e.g. cpu or cuda:0"),
    output: Optional[Path] = Opt(None, "--output", "-o", help="Also write the numbers to this JSON file"),
    # fmt: on
) -> None:
    """Measure how well a checkpoint predicts held-out text: loss in nats per word, and perplexity.

    Every word counts once, over the whole vocabulary. Perplexities compare only for equal text and vocabulary. The
    numbers equal those of training if windows, positions and seed do.
    """
    from ..models.checkpoint import read_checkpoint

    kind = read_checkpoint(checkpoint).kind
    options = {
        "max_tokens": max_tokens,
        "window": window,
        "unknown": unknown,
        "temperature": temperature,
        "search_temperature": search_temperature or None,
        "monte_carlo": monte_carlo,
        "mean": mean,
        "dynamic": dynamic or None,
        "learn_rate": learn_rate or None,
        "decay": decay or None,
        "epsilon": epsilon or None,
        "statistics": statistics,
        "train": train,
        "validation": validation or None,
        "search_tokens": search_tokens,
    }
    given: Dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    shared: Dict[str, Any] = {"split": split, "device": device}
    if batch_size is not None or kind != "mogrifier":
        shared["batch_size"] = 32 if batch_size is None else batch_size
    if kind == "mogrifier":
        measures = evaluate_mogrifier(checkpoint, text, raw=raw, lang=lang, seed=seed, **given, **shared)
    elif given:
        raise ValueError(Errors.G245.format(options=as_typed(list(given)), found=kind))
    elif kind == "elmo":
        measures = evaluate_bilm(checkpoint, text, raw=raw, lang=lang, max_batches=max_batches, **shared)
    else:
        windows: Dict[str, Any] = {"bptt": bptt, "shift": shift, "n_positions": n_positions, "max_batches": max_batches}
        measures = evaluate_glomo(checkpoint, _single_directory(checkpoint, text), seed=seed, **windows, **shared)
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
    from ..evaluation.bilm import held_out_perplexity
    from ..models.checkpoint import build_model, read_checkpoint
    from ..models.elmo.windows import WindowMaker

    parts = read_checkpoint(checkpoint)
    model: Any = build_model(parts, source=str(checkpoint)).to(device)
    if model.softmax is None or parts.vocab is None:
        raise ValueError(Errors.G154)
    held_out = open_text(text, split=split, raw=raw, lang=lang)
    maker = WindowMaker(held_out.types, words=parts.vocab, indexer=model.indexer)
    batches = islice(lay_out(held_out.documents(), batch_size=batch_size, unroll=_UNROLL), max_batches)
    measures = held_out_perplexity(model, batches, maker, device=torch.device(device))
    if not measures["n_tokens"]:
        raise ValueError(Errors.G318.format(text=", ".join(text)))
    return {**measures, "n_words": len(parts.vocab)}


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

    if not is_corpus(text):
        raise ValueError(Errors.G317.format(path=checkpoint, text=", ".join(text)))
    return Path(text[0])


def _table(measures: Dict[str, Any]) -> str:
    """The numbers as lines of text."""
    rows = [
        ("loss", f"{measures['loss']:.4f} nats per word, {measures['n_targets']:,} targets"),
        ("perplexity", f"{measures['perplexity']:.2f}"),
    ]
    if "bits_per_target" in measures:
        rows.append(("bits", f"{measures['bits_per_target']:.4f} per target"))
    for direction in ("forward", "backward"):
        if measures.get(f"loss_{direction}") is not None:
            perplexity = measures[f"perplexity_{direction}"]
            rows.append((direction, f"{measures[f'loss_{direction}']:.4f}, perplexity {perplexity:.2f}"))
    if "n_words" in measures:
        rows.append(("vocabulary", f"{measures['n_words']:,} words"))
        rows.append(("unknown", f"{measures['unknown_rate']:.2%} of {measures['n_tokens']:,} tokens"))
    if measures.get("bits_per_byte") is not None:
        rows.append(("with spelling", f"{measures['bits_per_byte']:.3f} bits per byte"))
    rows += [("method", _settings(measures["method"]))] if "method" in measures else []
    rows += [("tried", _settings(setting)) for setting in measures.get("searched", ())]
    rows += [(f"{step} ahead", f"{loss:.4f}") for step, loss in enumerate(measures.get("step_losses", ()), start=1)]
    rows += [(side, f"{measures[f'loss_{side}']:.4f}") for side in ("left", "right") if f"loss_{side}" in measures]
    return "\n".join(f"{name:>13}  {value}" for name, value in rows)


def _settings(values: Dict[str, Any]) -> str:
    """Names and values in one line."""
    texts = {name: f"{value:.5g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return ", ".join(text if name == "name" else f"{name} {text}" for name, text in texts.items())
