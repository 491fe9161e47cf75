"""`glomo-spacy convert`: a foreign checkpoint becomes a checkpoint directory."""

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from ._app import Arg, Opt

if TYPE_CHECKING:
    from ..convert import ConvertedGlomo


def convert_cli(
    state_dict: Path = Arg(..., help="State dict: .safetensors, or .pt (read without unpickling objects)"),
    output: Path = Arg(..., help="Checkpoint directory to write"),
    source: str = Opt(..., "--from", help="Where the file comes from: glomo (published GLoMo pretraining code)"),
    heads: int = Opt(..., "--heads", help="Graphs per layer; the published model has 8"),
    sparsity: str = Opt(..., "--sparsity", help="square, relu, shifted-relu, top-k, threshold (published) or softmax"),
    feature_predictor: str = Opt("gru", "--feature-predictor", help="gru (published) or additive"),
    top_k_rate: float = Opt(1.0, "--top-k-rate", help="For top-k: a row keeps rate * sqrt(length) sources"),
    vocab: Optional[Path] = Opt(
        None, "--vocab", help="One word per line, in the order of ids; <unk> at the end may be left out"
    ),
    dec_len: int = Opt(3, "--dec-len", help="Words predicted from each position in pretraining"),
) -> None:
    """Make a checkpoint directory from a foreign checkpoint; sizes are read from the tensors."""
    converted = convert(
        state_dict,
        output,
        source=source,
        heads=heads,
        sparsity=sparsity,
        feature_predictor=feature_predictor,
        top_k_rate=top_k_rate,
        vocab=vocab,
        dec_len=dec_len,
    )
    config = converted.config
    if converted.unused:
        print(f"Left out, as {sparsity} with {feature_predictor} does not use them: {', '.join(converted.unused)}")
    print(
        f"✔ {output}: {converted.n_weights:,} weights, vocabulary {config.vocab_size:,}, width {config.width}, "
        f"{config.n_layers} layers of {config.n_heads} heads per direction"
    )
    if vocab is None:
        print("No vocabulary was given (--vocab): the checkpoint takes word ids, not words.")


def convert(
    state_dict: Path,
    output: Path,
    *,
    source: str,
    heads: int,
    sparsity: str,
    feature_predictor: str = "gru",
    top_k_rate: float = 1.0,
    vocab: Optional[Path] = None,
    dec_len: int = 3,
) -> "ConvertedGlomo":
    """Convert one file. Arguments as the command's options.

    RETURNS (ConvertedGlomo): Sizes found and tensors left out.
    RAISES: ValueError G100 for an unknown source, and as `convert_official_glomo`.
    """
    from ..convert import convert_official_glomo
    from ..errors import Errors

    if source != "glomo":
        raise ValueError(Errors.G100.format(name="--from", value=source, options="glomo"))
    return convert_official_glomo(
        state_dict,
        output,
        n_heads=heads,
        sparsity=sparsity,
        feature_predictor=feature_predictor,
        top_k_rate=top_k_rate,
        dec_len=dec_len,
        vocab=None if vocab is None else _read_words(vocab),
    )


def _read_words(path: Path) -> List[str]:
    from ..errors import Errors

    try:
        text = path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(Errors.G206.format(path=path, reason=error)) from None
    return text.removesuffix("\n").split("\n")
