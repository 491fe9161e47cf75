"""Weights of bilm-tf, which AllenNLP reads too (HDF5 with options.json), to checkpoint directories and back.

Source: Peters et al. 2018 (arXiv 1802.05365); allenai/bilm-tf. Such files hold no softmax.
"""

import json
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from ..errors import Errors
from ..files import atomic_directory
from ..indexers import CharIndexer, VocabularyIndexer
from ..models.checkpoint import build_model, read_checkpoint, save_checkpoint
from ..models.elmo import BiLM, ElmoConfig
from .bilm_layout import Shape, Variable, first_arrays, is_of_a_bilm, options_from_shapes, usual_name, variables
from .bilm_options import (
    N_CHARACTERS,
    N_STORED_CHARACTERS,
    Options,
    config_from_options,
    flat,
    history,
    options_from_config,
    read_options,
    write_options,
)
from .hdf5_files import StoredArray, check_arrays, import_h5py, list_arrays, open_hdf5, read_arrays

PathLike = Union[str, Path]

WEIGHTS, OPTIONS, VOCABULARY = "weights.hdf5", "options.json", "vocab.txt"


class ConvertedBilm(NamedTuple):
    """What `convert_bilm` or `export_bilm` made.

    config (ElmoConfig): Sizes and variant.
    unused (List[str]): Arrays that are no part of a biLM's vectors; left out.
    n_weights (int): Numbers kept.
    """

    config: ElmoConfig
    unused: List[str]
    n_weights: int


def convert_bilm(
    weights: PathLike,
    output: PathLike,
    *,
    options: Optional[PathLike] = None,
    vocab: Optional[Sequence[str]] = None,
    lang: str = "en",
) -> ConvertedBilm:
    """Write a checkpoint directory from HDF5 weights.

    weights (PathLike): As bilm-tf dumps them.
    output (PathLike): The checkpoint directory; an earlier one is replaced.
    options (Optional[PathLike]): Their options.json. None: the one beside the weights.
    vocab (Optional[Sequence[str]]): The words by id of a model that takes words; others need none.
    lang (str): Language of the tokens it has learned, as in `spacy.blank(lang)`, for commands that tokenise text.
    RETURNS (ConvertedBilm): Sizes found and arrays left out.
    RAISES: FileNotFoundError G208 and G219, ImportError G228; ValueError, all before data is read, G209-G212 for a file
        that is damaged, leads elsewhere, is packed or of another type, G213 for missing arrays, G214, G217 and G218 for
        options that do not fit, G215 for shapes, G230 and G016 for a vocabulary; then G216 for values that are not
        finite.
    """
    weights, options = Path(weights), Path(weights).with_name(OPTIONS) if options is None else Path(options)
    settings = read_options(options)
    with open_hdf5(weights) as file:
        found = list_arrays(file)
        config, model = check_bilm(found, settings, path=weights, options_path=options)
        indexer = _indexer(config, vocab, lang=lang, path=weights)
        state = dict(read_tensors(file, found, config))
    model.load_state_dict(state, assign=True)
    meta = {"source": "bilm-tf", "converted_from": weights.name, **history(settings)}
    words = list(indexer.words) if isinstance(indexer, VocabularyIndexer) else None
    save_checkpoint(output, model, indexer=indexer.config, vocab=words, meta=meta)
    used = {variable.name for variable in variables(config)}
    unused = [name for name in found if usual_name(name) not in used]
    return ConvertedBilm(config, unused, sum(tensor.numel() for tensor in state.values()))


def export_bilm(checkpoint: PathLike, output: PathLike) -> ConvertedBilm:
    """Write a directory with weights.hdf5 and options.json for bilm-tf and AllenNLP, and vocab.txt if there are words.

    checkpoint (PathLike): A checkpoint directory of kind "elmo".
    output (PathLike): An earlier directory of this kind is replaced.
    RETURNS (ConvertedBilm): Sizes, and our weights that such files do not hold.
    RAISES: ValueError G203 for another kind of checkpoint, G229 for a variant that bilm-tf does not know;
        FileExistsError G231; ImportError G228; as `read_checkpoint` and `build_model`.
    """
    output, h5py = Path(output), import_h5py()
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / WEIGHTS).is_file()):
        raise FileExistsError(Errors.G231.format(path=output))
    parts = read_checkpoint(checkpoint)
    if parts.kind != "elmo":
        raise ValueError(Errors.G203.format(path=checkpoint, found=parts.kind, expected="elmo"))
    model: Any = build_model(parts, source=str(checkpoint))
    if reason := _why_not(model):
        raise ValueError(Errors.G229.format(path=checkpoint, reason=reason))
    state, arrays = model.state_dict(), variables(model.config)
    with atomic_directory(output, overwrite=True) as folder:
        with h5py.File(folder / WEIGHTS, "w") as file:
            for variable in arrays:
                file[variable.name] = variable.from_ours(state).contiguous().numpy()
        write_options(folder / OPTIONS, options_from_config(model.config))
        if parts.vocab is not None:
            (folder / VOCABULARY).write_text("".join(f"{word}\n" for word in parts.vocab), encoding="utf8")
    used = {name for variable in arrays for name in variable.ours}
    unused = [name for name in state if name not in used]
    return ConvertedBilm(model.config, unused, sum(state[name].numel() for name in used))


def check_bilm(
    found: Mapping[str, StoredArray], settings: Options, *, path: PathLike, options_path: PathLike
) -> Tuple[ElmoConfig, BiLM]:
    """See that a file holds the biLM that options.json describes, by names, types and shapes alone.

    found (Mapping[str, StoredArray]): As `list_arrays` gives them.
    settings (Options): As `read_options` gives them.
    RETURNS (Tuple[ElmoConfig, BiLM]): Sizes, and a network of that shape without memory for weights.
    RAISES: ValueError G211-G215, G217, G218.
    """
    arrays = {usual_name(name): array for name, array in found.items() if is_of_a_bilm(name)}
    check_arrays(arrays, path=path)
    shapes = {name: array.shape for name, array in arrays.items()}
    if "char_embed" in shapes and "embedding" not in shapes and "char_cnn" not in settings:
        raise ValueError(Errors.G217.format(path=options_path, reason="char_cnn is missing"))
    facts = options_from_shapes(shapes)
    config = config_from_options(settings, path=options_path, vocab_size=facts.get("n_tokens_vocab"))
    _require(shapes, first_arrays(config), path)
    claims = flat(options_from_config(config))
    differences = [
        f"{name} is {json.dumps(claims[name])}, but the weights have {json.dumps(fact)}"
        for name, fact in facts.items()
        if name in claims and claims[name] != fact
    ]
    if differences:
        raise ValueError(Errors.G214.format(path=path, options=options_path, differences="; ".join(differences)))
    try:
        with torch.device("meta"):
            model = BiLM(config)
    except RuntimeError:  # each size stands in the file, but together they overflow
        raise ValueError(Errors.G215.format(path=path, shapes=f"{config.n_filters} filters")) from None
    _check_shapes(shapes, variables(config), model.state_dict(), path)
    return config, model


def _check_shapes(
    shapes: Mapping[str, Shape], expected: Sequence[Variable], state: Mapping[str, Tensor], path: PathLike
) -> None:
    _require(shapes, {variable.name: variable.from_ours(state).dim() for variable in expected}, path)
    wrong = []
    for variable in expected:
        shape, wanted = shapes[variable.name], tuple(variable.from_ours(state).shape)
        if variable.name == "char_embed":
            if shape[0] not in (N_STORED_CHARACTERS, N_CHARACTERS):
                raise ValueError(Errors.G218.format(path=path, found=f"char_embed with {shape[0]} rows"))
            shape = (N_STORED_CHARACTERS, *shape[1:])
        if shape != wanted:
            wrong.append(f"{variable.name} {shape}, expected {wanted}")
    if wrong:
        raise ValueError(Errors.G215.format(path=path, shapes=_some(wrong)))


def _require(shapes: Mapping[str, Shape], n_axes: Mapping[str, int], path: PathLike) -> None:
    """See that arrays are there, and with so many axes."""
    if missing := [name for name in n_axes if name not in shapes]:
        raise ValueError(
            Errors.G213.format(path=path, missing=_some(missing), found=_some(list(shapes)) or "no arrays")
        )
    wrong = [f"{name} {shapes[name]}, expected {n} axes" for name, n in n_axes.items() if len(shapes[name]) != n]
    if wrong:
        raise ValueError(Errors.G215.format(path=path, shapes=_some(wrong)))


def read_tensors(file: Any, found: Iterable[str], config: ElmoConfig) -> Iterator[Tuple[str, Tensor]]:
    """Our weights by name, read one array at a time from a file that `check_bilm` has seen.

    file (h5py.File): From `open_hdf5`.
    found (Iterable[str]): The arrays' names.
    config (ElmoConfig): From `check_bilm`.
    RAISES: ValueError G216 for values that are not finite, G218 for 262 rows of characters of which the first is used.
    """
    places, expected = {usual_name(name): name for name in found}, variables(config)
    arrays = read_arrays(file, [places[variable.name] for variable in expected])
    for variable, (_, array) in zip(expected, arrays):
        if variable.name == "char_embed" and len(array) == N_CHARACTERS:
            if array[0].any():  # not the row of "no token", so it is unknown what the others stand for
                rows = f"char_embed with {N_CHARACTERS} rows, of which the first is not zero"
                raise ValueError(Errors.G218.format(path=file.filename, found=rows))
            array = array[1:]
        yield from variable.to_ours(torch.from_numpy(array)).items()


def _indexer(
    config: ElmoConfig, vocab: Optional[Sequence[str]], *, lang: str, path: PathLike
) -> Union[CharIndexer, VocabularyIndexer]:
    if config.token_encoder == "characters":
        return CharIndexer(max_characters=config.max_characters, lang=lang)
    words = None if vocab is None else VocabularyIndexer(vocab, lang=lang)
    if words is None or len(words) != config.vocab_size:
        found = "" if words is None else f", not {len(words)}"
        raise ValueError(Errors.G230.format(path=path, expected=config.vocab_size, found=found))
    return words


def _why_not(model: BiLM) -> str:
    """What keeps a model from being a biLM of bilm-tf; empty: nothing."""
    config, indexer = model.config, model.indexer
    if config.cell != "lstm":
        return f"its cells are {config.cell!r}, and such files hold plain LSTM cells"
    if config.forget_bias != 1:
        return f"its forget_bias is {config.forget_bias}, and readers of such files add 1"
    if isinstance(indexer, CharIndexer) and indexer.alphabet is not None:
        return "it has learned an alphabet, and such files know bytes only"
    return ""


def _some(names: Sequence[str], *, shown: int = 6) -> str:
    """At most a few names, with the number of the others."""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
