"""`glomo-spacy convert`: a foreign checkpoint becomes a checkpoint directory, or one of ours goes out."""

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ..errors import Errors
from ._app import Arg, Opt, as_typed


def convert_cli(
    checkpoint: Path = Arg(..., help="Foreign weights (.hdf5, .safetensors, .pt), or a checkpoint directory"),
    output: Path = Arg(..., help="Directory to write"),
    source: Optional[str] = Opt(
        None,
        "--from",
        help="Where weights come from: bilm (bilm-tf, AllenNLP), glomo (published GLoMo code) or mogrifier-lstm "
        "(public PyTorch code)",
    ),
    target: Optional[str] = Opt(None, "--to", help="bilm: weights.hdf5 and options.json for bilm-tf and AllenNLP"),
    export: bool = Opt(False, "--export", help="A checkpoint without what only training needs, such as the softmax"),
    options: Optional[Path] = Opt(None, "--options", help="From bilm: its options.json (default: beside the weights)"),
    vocab: Optional[Path] = Opt(
        None, "--vocab", help="One word per line, in the order of ids; from glomo, <unk> at the end may be left out"
    ),
    lang: Optional[str] = Opt(
        None, "--lang", help="From bilm or mogrifier-lstm: language of its tokens, as in spacy.blank (default: en)"
    ),
    dtype: Optional[str] = Opt(None, "--dtype", help="Export: float32, float16 or bfloat16 (default: as it is)"),
    words: Optional[int] = Opt(None, "--words", help="Export, of readers: so many words keep their vectors"),
    corpus: Optional[Path] = Opt(
        None, "--corpus", help="Export, with --words: those most frequent in this prepared corpus (default: the first)"
    ),
    heads: Optional[int] = Opt(None, "--heads", help="From glomo: graphs per layer; the published model has 8"),
    sparsity: Optional[str] = Opt(
        None, "--sparsity", help="From glomo: square, relu, shifted-relu, top-k, threshold (published) or softmax"
    ),
    feature_predictor: Optional[str] = Opt(
        None, "--feature-predictor", help="From glomo: gru (published, default) or additive"
    ),
    top_k_rate: Optional[float] = Opt(
        None, "--top-k-rate", help="From glomo, for top-k: a row keeps rate * sqrt(length) sources (default: 1)"
    ),
    dec_len: Optional[int] = Opt(
        None, "--dec-len", help="From glomo: words predicted from each position in pretraining (default: 3)"
    ),
) -> None:
    """Convert weights. Say one of --from, --to and --export; sizes are read from the tensors."""
    action = _choose(source=source, target=target, export=export)
    given = {
        "options": options,
        "vocab": vocab,
        "lang": lang,
        "dtype": dtype,
        "words": words,
        "corpus": corpus,
        "heads": heads,
        "sparsity": sparsity,
        "feature_predictor": feature_predictor,
        "top_k_rate": top_k_rate,
        "dec_len": dec_len,
    }
    for line in convert(checkpoint, output, action, **given):
        print(line)


def convert(checkpoint: Path, output: Path, action: str, **options: Any) -> List[str]:
    """Convert one checkpoint.

    checkpoint (Path): What is read.
    output (Path): The directory to write.
    action (str): A name in `ACTIONS`.
    options (Any): As the command's; None: not given.
    RETURNS (List[str]): What was made, in lines.
    RAISES: ValueError G233 for an option of another action, G234 for one that is missing; as `convert_bilm`,
        `export_bilm`, `export_checkpoint`, `frequent_words`, `convert_official_glomo` and `convert_official_mogrifier`.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if unused := [name for name in given if name not in ACTIONS[action].options]:
        known = as_typed(ACTIONS[action].options) or "no further options"
        raise ValueError(Errors.G233.format(options=as_typed(unused), action=action, known=known))
    return ACTIONS[action].run(checkpoint, output, **given)


def _from_bilm(
    weights: Path, output: Path, *, options: Optional[Path] = None, vocab: Optional[Path] = None, lang: str = "en"
) -> List[str]:
    from ..convert import convert_bilm

    words = None if vocab is None else _read_words(vocab)
    converted = convert_bilm(weights, output, options=options, vocab=words, lang=lang)
    lines = [f"Left out, as no biLM uses it: {', '.join(converted.unused)}"] if converted.unused else []
    if vocab is not None and converted.config.token_encoder == "characters":
        lines.append(f"Left out: {vocab}. The model reads characters and needs no list of words.")
    return [*lines, _describe_bilm(output, converted)]


def _to_bilm(checkpoint: Path, output: Path) -> List[str]:
    from ..convert import export_bilm

    converted = export_bilm(checkpoint, output)
    left_out = [f"Left out, as such files do not hold it: {', '.join(converted.unused)}"] if converted.unused else []
    return [*left_out, _describe_bilm(output, converted)]


def _describe_bilm(output: Path, converted: Any) -> str:
    config = converted.config
    directions = "both directions" if config.directions == "both" else "forward only"
    return (
        f"✔ {output}: {converted.n_weights:,} weights, reads {config.token_encoder}, {config.n_layers} layers of "
        f"{config.cell_width} cells and {config.projection_width} outputs, {directions}"
    )


def _export(
    checkpoint: Path,
    output: Path,
    *,
    dtype: Optional[str] = None,
    words: Optional[int] = None,
    corpus: Optional[Path] = None,
) -> List[str]:
    from ..convert import export_checkpoint
    from ._reader_words import frequent_words

    kept = None if words is None else frequent_words(checkpoint, words, corpus=corpus)
    exported = export_checkpoint(checkpoint, output, dtype=dtype, words=kept)
    lines = [f"Left out, as only training needs it: {', '.join(exported.left_out)}"] if exported.left_out else []
    return [*lines, f"✔ {output}: {exported.n_weights:,} weights, {exported.n_bytes / 1e6:,.2f} MB"]


def _from_glomo(
    state_dict: Path,
    output: Path,
    *,
    heads: Optional[int] = None,
    sparsity: Optional[str] = None,
    vocab: Optional[Path] = None,
    **variant: Any,
) -> List[str]:
    from ..convert import convert_official_glomo

    if heads is None or sparsity is None:
        missing = as_typed([name for name, value in (("heads", heads), ("sparsity", sparsity)) if value is None])
        raise ValueError(Errors.G234.format(missing=missing))
    words = None if vocab is None else _read_words(vocab)
    converted = convert_official_glomo(state_dict, output, n_heads=heads, sparsity=sparsity, vocab=words, **variant)
    config, lines = converted.config, []
    if converted.unused:
        unused = ", ".join(converted.unused)
        lines.append(f"Left out, as {sparsity} with {config.feature_predictor} does not use them: {unused}")
    lines.append(
        f"✔ {output}: {converted.n_weights:,} weights, vocabulary {config.vocab_size:,}, width {config.width}, "
        f"{config.n_layers} layers of {config.n_heads} heads per direction"
    )
    if vocab is None:
        lines.append("No vocabulary was given (--vocab): the checkpoint takes word ids, not words.")
    return lines


def _from_mogrifier_lstm(
    state_dict: Path, output: Path, *, vocab: Optional[Path] = None, lang: str = "en"
) -> List[str]:
    from ..convert import convert_official_mogrifier

    words = None if vocab is None else _read_words(vocab)
    converted = convert_official_mogrifier(state_dict, output, vocab=words, lang=lang)
    config = converted.config
    lines = [f"Left out, as no part of the model: {', '.join(converted.unused)}"] if converted.unused else []
    gating = f"{config.rounds} gating rounds" if config.rounds else "no gating"
    lines.append(
        f"✔ {output}: {converted.n_weights:,} weights, vocabulary {config.vocab_size:,}, {config.n_layers} "
        f"layer{'s' * (config.n_layers > 1)} of width {config.hidden_width:,}, {gating}"
    )
    if vocab is None:
        lines.append("No vocabulary was given (--vocab): the checkpoint takes word ids, not words.")
    elif not converted.has_unknown:
        lines.append("The vocabulary has no <unk>: unknown words have probability 0.")
    return lines


class Action(NamedTuple):
    """What the command can do.

    run (Callable[..., List[str]]): Converts, and says what it made.
    options (Tuple[str, ...]): Options it takes beside checkpoint and output.
    """

    run: Callable[..., List[str]]
    options: Tuple[str, ...]


ACTIONS: Dict[str, Action] = {
    "--from bilm": Action(_from_bilm, ("options", "vocab", "lang")),
    "--from glomo": Action(_from_glomo, ("heads", "sparsity", "feature_predictor", "top_k_rate", "vocab", "dec_len")),
    "--from mogrifier-lstm": Action(_from_mogrifier_lstm, ("vocab", "lang")),
    "--to bilm": Action(_to_bilm, ()),
    "--export": Action(_export, ("dtype", "words", "corpus")),
}


def _choose(*, source: Optional[str], target: Optional[str], export: bool) -> str:
    """The one action asked for. RAISES: ValueError G100 for an unknown name, G232 for none or several."""
    asked = [f"{option} {value}" for option, value in (("--from", source), ("--to", target)) if value is not None]
    asked += ["--export"] * export
    if len(asked) != 1:
        raise ValueError(Errors.G232.format(found=" and ".join(asked) or "none of them"))
    if asked[0] not in ACTIONS:
        option, _, value = asked[0].partition(" ")
        known = [name.partition(" ")[2] for name in ACTIONS if name.startswith(f"{option} ")]
        raise ValueError(Errors.G100.format(name=option, value=value, options=", ".join(known)))
    return asked[0]


def _read_words(path: Path) -> List[str]:
    try:
        text = path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(Errors.G206.format(path=path, reason=error)) from None
    return text.removesuffix("\n").split("\n")
