"""Checkpoints of the published GLoMo pretraining code (Yang et al. 2018) to checkpoint directories of ours."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from ..errors import Errors
from ..indexers.word_ids import WordIndexer
from ..models.checkpoint import save_checkpoint
from ..models.glomo import GlomoConfig, GlomoModel
from .key_map import GLOMO
from .tensor_files import read_state_dict

PathLike = Union[str, Path]
State = Dict[str, Tensor]

EMBEDDING = "enc_emb.weight"
TIED = ("dec_net_fw.out.weight", "dec_net_bw.out.weight")  # the soft-max shares the embedding table
WITHOUT_VOCABULARY = {"kind": "ids"}  # the caller brings word ids


class ConvertedGlomo(NamedTuple):
    """What `convert_official_glomo` made.

    config (GlomoConfig): Sizes read from the tensors, variant as named.
    unused (List[str]): Tensors of the file that the variant does not use; left out.
    n_weights (int): Numbers kept.
    """

    config: GlomoConfig
    unused: List[str]
    n_weights: int


def convert_official_glomo(
    state_dict: PathLike,
    output: PathLike,
    *,
    n_heads: int,
    sparsity: str,
    feature_predictor: str = "gru",
    top_k_rate: float = 1.0,
    dec_len: int = 3,
    vocab: Optional[Sequence[str]] = None,
) -> ConvertedGlomo:
    """Write a checkpoint directory from a state dict with the published names.

    state_dict (PathLike): `.safetensors`, or `.pt`, which is read without unpickling objects.
    output (PathLike): The checkpoint directory; replaced if it exists.
    n_heads (int): Graphs per layer; no tensor tells it. Published: 8.
    sparsity (str): As in `GlomoConfig`; the published `sparse_mode` 0 to 4 are "square", "relu", "shifted-relu",
        "top-k" and "threshold".
    feature_predictor (str): "gru" (`no_gru 0`) or "additive" (`no_gru 1`).
    top_k_rate (float): For "top-k".
    dec_len (int): Words predicted from each position in pretraining; no tensor tells it. Published: 3.
    vocab (Optional[Sequence[str]]): Words by id, with or without `<unk>` at the end. None: the checkpoint has none, and
        its indexer says so.
    RETURNS (ConvertedGlomo): Sizes found and tensors left out.
    RAISES: ValueError G222 for a file that is not GLoMo's, G223 for missing tensors, G224 for wrong shapes, G225 for
        heads that do not divide, G226 for values that are not finite, G227 for a soft-max that is not tied; G205 and
        G001 for a vocabulary that does not fit; G201, G220 and G221 for files that cannot be read.
    """
    path = Path(state_dict)
    state = _with_embedding(read_state_dict(path), path)
    config = read_config(
        state,
        path=path,
        n_heads=n_heads,
        sparsity=sparsity,
        feature_predictor=feature_predictor,
        top_k_rate=top_k_rate,
        dec_len=dec_len,
    )
    model = GlomoModel(config)
    unused = _load(model, state, path)
    words, indexer = _vocabulary(vocab, config.vocab_size, output)
    meta = {"source": "published GLoMo pretraining code", "converted_from": path.name}
    save_checkpoint(output, model, indexer=indexer, vocab=words, meta=meta)
    n_weights = sum(parameter.numel() for parameter in model.parameters())
    return ConvertedGlomo(config, unused, n_weights)


def read_config(state: State, *, path: PathLike, n_heads: int, **variant: Any) -> GlomoConfig:
    """Sizes from the shapes of the tensors.

    state (Dict[str, Tensor]): Published names.
    n_heads (int): Graphs per layer.
    **variant: Further fields of `GlomoConfig`.
    RETURNS (GlomoConfig): Checked.
    """
    predictor = "st_predictor_fw"
    first_convolution = _required(state, f"{predictor}.key_cnn.0.0.weight", 3, path)
    first_keys = _required(state, f"{predictor}.key_dot_trans.0.weight", 2, path)
    vocab_size, width = _required(state, EMBEDDING, 2, path).shape
    if n_heads < 1 or len(first_keys) % n_heads or width % n_heads:
        raise ValueError(Errors.G225.format(path=path, n_heads=n_heads, affinity=len(first_keys), width=width))
    return GlomoConfig(
        vocab_size=vocab_size,
        width=width,
        n_layers=_count(state, f"{predictor}.key_dot_trans."),
        n_heads=n_heads,
        head_width=len(first_keys) // n_heads,
        n_key_layers=_count(state, f"{predictor}.key_cnn."),
        n_query_layers=_count(state, f"{predictor}.query_cnn."),
        kernel_size=first_convolution.shape[2],
        use_value=variant.get("feature_predictor") == "gru" or _count(state, f"{predictor}.value_trans.") > 0,
        n_decoder_layers=max(_count(state, "dec_net_fw.rnn_fw.weight_ih_l", end=""), 1),
        **variant,
    )


def _load(model: GlomoModel, state: State, path: Path) -> List[str]:
    """Copy the weights into the model. RETURNS: the names left out."""
    expected = {name: tensor for name, tensor in model.state_dict().items() if GLOMO.to_theirs(name)}
    ours: State = {}
    unused: List[str] = []
    for name, tensor in state.items():
        renamed = GLOMO.to_ours(name)
        if renamed in expected:
            ours[renamed] = tensor
        elif name not in TIED:
            unused.append(name)
    missing = [str(GLOMO.to_theirs(name)) for name in expected if name not in ours]
    if missing:
        raise ValueError(Errors.G223.format(path=path, missing=_some(missing)))
    wrong = [
        f"{GLOMO.to_theirs(name)} {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
        for name, tensor in ours.items()
        if tensor.shape != expected[name].shape or not tensor.is_floating_point()
    ]
    if wrong:
        raise ValueError(Errors.G224.format(path=path, shapes=_some(wrong)))
    broken = [str(GLOMO.to_theirs(name)) for name, tensor in ours.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ValueError(Errors.G226.format(path=path, names=_some(broken)))
    model.load_state_dict({name: tensor.float() for name, tensor in ours.items()}, strict=False)
    return sorted(unused)


def _with_embedding(state: State, path: Path) -> State:
    """Check that the soft-max is tied. A file that stores shared tensors once may hold them under either name."""
    tied = [state[name] for name in TIED if name in state]
    if EMBEDDING not in state and tied:
        state = {EMBEDDING: tied[0], **state}
    for tensor in tied:
        if not torch.equal(tensor, state[EMBEDDING]) and bool(torch.isfinite(tensor).all()):
            raise ValueError(Errors.G227.format(path=path, name=EMBEDDING))
    return state


def _required(state: State, name: str, n_dims: int, path: PathLike) -> Tensor:
    """A tensor that tells a size."""
    if name not in state:
        raise ValueError(Errors.G222.format(path=path, name=name, found=_some(sorted(state)) or "no tensors"))
    if state[name].dim() != n_dims or 0 in state[name].shape:
        found = f"{name} {tuple(state[name].shape)}, expected {n_dims} axes without an empty one"
        raise ValueError(Errors.G224.format(path=path, shapes=found))
    return state[name]


def _count(state: State, prefix: str, *, end: str = ".") -> int:
    """How many numbered parts stand after a prefix: the highest number plus one, so that a gap shows as missing."""
    numbers = [name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)]
    return max((int(number) + 1 for number in numbers if number.isdecimal() and len(number) < 4), default=0)


def _vocabulary(
    vocab: Optional[Sequence[str]], vocab_size: int, output: PathLike
) -> Tuple[Optional[List[str]], Dict[str, Any]]:
    """Words and indexer section. The published reader looks a word up by casing, so ours falls back in the same way."""
    if vocab is None:
        return None, dict(WITHOUT_VOCABULARY)
    words = list(vocab)
    if len(words) == vocab_size - 1:
        words.append("<unk>")
    if len(words) != vocab_size:
        raise ValueError(Errors.G205.format(path="The vocabulary", found=len(words), expected=vocab_size))
    return words, WordIndexer(words, casing="fallback").config


def _some(names: Sequence[str], *, shown: int = 8) -> str:
    """At most a few names, with the number of the others."""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
