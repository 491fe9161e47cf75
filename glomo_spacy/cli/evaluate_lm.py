"""`glomo-spacy evaluate-lm`: held-out loss and perplexity of a checkpoint on a prepared corpus."""

import json
from pathlib import Path
from typing import Any, Dict, Optional

from ._app import Arg, Opt


def evaluate_lm_cli(
    # fmt: off
    checkpoint: Path = Arg(..., help="Checkpoint directory, e.g. model-best of a run", exists=True, file_okay=False),
    corpus: Path = Arg(
        ..., help="Directory written by prepare, with the checkpoint's vocabulary", exists=True, file_okay=False
    ),
    split: str = Opt("dev", "--split", help="Which part of the corpus: dev or train"),
    bptt: int = Opt(200, "--bptt", help="Tokens per window"),
    shift: int = Opt(100, "--shift", help="Tokens from one window's begin to the next one's"),
    batch_size: int = Opt(32, "--batch-size", help="Windows at a time"),
    max_batches: Optional[int] = Opt(None, "--max-batches", help="Use only so many batches from the beginning"),
    n_positions: Optional[int] = Opt(None, "--n-positions", help="Positions per batch and direction; default: all"),
    seed: int = Opt(1, "--seed", help="Draws the positions"),
    device: str = Opt("cpu", "--device", help="torch device, e.g. cpu or cuda:0"),
    output: Optional[Path] = Opt(None, "--output", "-o", help="Also write the numbers to this JSON file"),
    # fmt: on
) -> None:
    """Measure how well a checkpoint predicts held-out text: loss in nats per word, perplexity, by words ahead.

    The numbers equal those of training if windows, positions and seed do.
    """
    measures = evaluate_lm(
        checkpoint,
        corpus,
        split=split,
        bptt=bptt,
        shift=shift,
        batch_size=batch_size,
        max_batches=max_batches,
        n_positions=n_positions,
        seed=seed,
        device=device,
    )
    print(f"{'loss':>12}  {measures['loss']:.4f} nats per word, {measures['n_targets']:,} targets")
    print(f"{'perplexity':>12}  {measures['perplexity']:.2f}")
    for step, loss in enumerate(measures["step_losses"], start=1):
        print(f"{f'{step} ahead':>12}  {loss:.4f}")
    print(f"{'left':>12}  {measures['loss_left']:.4f}\n{'right':>12}  {measures['loss_right']:.4f}")
    if output is not None:
        output.write_text(json.dumps(measures, indent=2) + "\n", encoding="utf8")


def evaluate_lm(
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
    """Measure a checkpoint on a prepared corpus. Arguments as the command's options.

    RETURNS (Dict[str, Any]): As `held_out_loss`.
    RAISES: ValueError G203 for a checkpoint of another kind, G315 if nothing can be predicted, G316 if its words are
        not the corpus's; else as `load_checkpoint` and `ShardedCorpus`.
    """
    from itertools import islice

    import torch

    from ..corpora import EvalWindows, ShardedCorpus
    from ..errors import Errors
    from ..evaluation.perplexity import held_out_loss
    from ..models.checkpoint import build_model, read_checkpoint

    parts = read_checkpoint(checkpoint)
    if parts.kind != "glomo":
        raise ValueError(Errors.G203.format(path=checkpoint, found=parts.kind, expected="glomo"))
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
