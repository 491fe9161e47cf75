"""Checkpoint directories: the only hand-over between training, conversion and use.

A directory holds `config.cfg` (kind, sizes, indexer), `model.safetensors`, `vocab.txt` where there is a vocabulary, and
`meta.json` (provenance and the SHA-256 of each file). It is written whole or not at all and never unpickled. Inside a
spaCy pipeline the same content travels as one block of bytes.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import torch
from confection import Config
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from ..errors import Errors
from ..files import atomic_directory, sha256_of
from ..indexers import build_indexer
from .registry import config_section, kind_of, new_model

FORMAT_VERSION = 1
CONFIG, WEIGHTS, VOCABULARY, META = "config.cfg", "model.safetensors", "vocab.txt", "meta.json"
_TEXTS = "checkpoint"  # the texts' place in the metadata of a pipeline's block

PathLike = Union[str, Path]


@dataclass
class Checkpoint:
    """A model taken apart: everything but the network itself.

    kind (str): Which model it is, e.g. "glomo".
    model (Dict[str, Any]): The `[model]` section: the fields of its config class.
    indexer (Dict[str, Any]): The `[indexer]` section: how words become ids; empty if unknown.
    state (Dict[str, Tensor]): Weights by name.
    vocab (Optional[List[str]]): Words by id.
    meta (Dict[str, Any]): Provenance: data, licence, tokens seen, seed, metrics.
    """

    kind: str
    model: Dict[str, Any]
    indexer: Dict[str, Any] = field(default_factory=dict)
    state: Dict[str, Tensor] = field(default_factory=dict)
    vocab: Optional[List[str]] = None
    meta: Dict[str, Any] = field(default_factory=dict)


def load_checkpoint(directory: PathLike) -> nn.Module:
    """Read a checkpoint directory as a model in evaluation mode, float32.

    directory (PathLike): Written by `save_checkpoint`, `glomo-spacy pretrain` or `glomo-spacy convert`.
    RETURNS (nn.Module): A `GlomoModel`, `BiLM` or `LanguageModel`, as its kind says.
    RAISES: As `read_checkpoint` and `build_model`.
    """
    return build_model(read_checkpoint(directory), source=str(directory))


def read_checkpoint(directory: PathLike) -> Checkpoint:
    """Read a checkpoint directory without building its model.

    directory (PathLike): The directory.
    RETURNS (Checkpoint): Its parts, weights in the type they are stored in.
    RAISES: FileNotFoundError G200 if a file is missing; ValueError G201 for damaged weights, G204 for a later format,
        G205 for a vocabulary of another size, G206 for damaged text files.
    """
    directory = Path(directory)
    missing = [name for name in (CONFIG, WEIGHTS, META) if not (directory / name).is_file()]
    if missing:
        raise FileNotFoundError(Errors.G200.format(path=directory, missing=", ".join(missing)))
    sections = _read_config((directory / CONFIG).read_bytes(), directory / CONFIG)
    meta = _read_json((directory / META).read_bytes(), directory / META)
    vocab = None
    if (directory / VOCABULARY).is_file():
        vocab = _decode_vocab((directory / VOCABULARY).read_bytes(), directory / VOCABULARY)
    checkpoint = _assemble(sections, vocab, meta, directory)
    checkpoint.state = _read_weights(directory / WEIGHTS)
    return checkpoint


def save_checkpoint(
    directory: PathLike,
    model: nn.Module,
    *,
    indexer: Dict[str, Any],
    vocab: Optional[List[str]],
    meta: Dict[str, Any],
    dtype: Optional[torch.dtype] = None,
) -> None:
    """Write a checkpoint directory, whole or not at all.

    directory (PathLike): An earlier checkpoint there is replaced.
    model (nn.Module): A model of a known kind, with `.config`.
    indexer (Dict[str, Any]): The `[indexer]` section.
    vocab (Optional[List[str]]): Words by id, as many as the model has.
    meta (Dict[str, Any]): Provenance; format version and checksums are added.
    dtype (Optional[torch.dtype]): Store floating-point weights in this type, e.g. torch.float16. None: as they are.
    RAISES: ValueError G205 for a vocabulary of another size; FileExistsError G207 if the directory holds something
        else than a checkpoint; OSError G900 if the disk is full.
    """
    directory = Path(directory)
    is_filled = directory.is_dir() and any(directory.iterdir())
    if directory.is_file() or (is_filled and not (directory / META).is_file()):
        raise FileExistsError(Errors.G207.format(path=directory))
    checkpoint = take_apart(model, indexer=indexer, vocab=vocab, meta=meta, dtype=dtype)
    _check_vocab(checkpoint, directory)
    with atomic_directory(directory, overwrite=True) as folder:
        Config(_sections(checkpoint)).to_disk(folder / CONFIG)
        (folder / WEIGHTS).write_bytes(save_tensors(checkpoint.state))
        if vocab is not None:
            (folder / VOCABULARY).write_bytes(_encode_vocab(vocab))
        sums = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        full_meta = {**meta, "format_version": FORMAT_VERSION, "sha256": sums}
        (folder / META).write_text(json.dumps(full_meta, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


def take_apart(
    model: nn.Module,
    *,
    indexer: Dict[str, Any],
    vocab: Optional[List[str]],
    meta: Dict[str, Any],
    dtype: Optional[torch.dtype] = None,
) -> Checkpoint:
    """The parts of a model, weights on the CPU. Arguments as for `save_checkpoint`."""
    state = {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        state[name] = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
    return Checkpoint(kind_of(model), config_section(model), dict(indexer), state, vocab, dict(meta))


def build_model(checkpoint: Checkpoint, *, source: str = "the checkpoint") -> nn.Module:
    """Build the model of a checkpoint, in evaluation mode, float32, every weight accounted for.

    A model that reads words itself gets the checkpoint's indexer.

    source (str): Named in errors.
    RAISES: ValueError G100 for an unknown kind or setting, G202 with the lists of names that do not fit, G014-G016 and
        G108 for an indexer that does not fit.
    """
    model = new_model(checkpoint.kind, checkpoint.model)
    expected = model.state_dict()
    found = checkpoint.state
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    shapes = [
        f"{name} {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in sorted(set(found) & set(expected))
        if found[name].shape != expected[name].shape
    ]
    if missing or extra or shapes:
        message = Errors.G202.format(
            path=source, missing=missing or "none", extra=extra or "none", shapes=shapes or "none"
        )
        raise ValueError(message)
    model.load_state_dict({name: tensor.to(expected[name].dtype) for name, tensor in found.items()})
    attach_indexer: Any = getattr(model, "attach_indexer", None)
    if attach_indexer is not None and checkpoint.indexer:
        attach_indexer(build_indexer(checkpoint.indexer, checkpoint.vocab or []))
    return model.eval()


def checkpoint_to_bytes(checkpoint: Checkpoint) -> bytes:
    """One self-contained safetensors block: weights, with config, vocabulary and provenance in its metadata."""
    texts: Dict[str, Any] = {
        CONFIG: Config(_sections(checkpoint)).to_str(),
        META: {**checkpoint.meta, "format_version": FORMAT_VERSION},
    }
    if checkpoint.vocab is not None:
        texts[VOCABULARY] = _encode_vocab(checkpoint.vocab).decode("utf8")
    # One entry: safetensors writes several in random order, and the same pipeline shall give the same bytes.
    return save_tensors(checkpoint.state, metadata={_TEXTS: json.dumps(texts)})


def checkpoint_from_bytes(data: bytes, *, source: str = "the stored weights") -> Checkpoint:
    """Undo `checkpoint_to_bytes`.

    RAISES: ValueError G201 if the bytes are damaged, G206 if they hold no checkpoint, G204 and G205 as for a directory.
    """
    try:
        state = load_tensors(data)
        header_size = int.from_bytes(data[:8], "little")
        texts = json.loads(json.loads(data[8 : 8 + header_size]).get("__metadata__", {}).get(_TEXTS, "{}"))
    except (SafetensorError, ValueError) as error:
        raise ValueError(Errors.G201.format(path=source, reason=error)) from None
    if CONFIG not in texts:
        raise ValueError(Errors.G206.format(path=source, reason="it holds tensors, but no checkpoint's config.cfg"))
    sections = _read_config(texts[CONFIG].encode("utf8"), Path(source) / CONFIG)
    vocab = None
    if VOCABULARY in texts:
        vocab = _decode_vocab(texts[VOCABULARY].encode("utf8"), Path(source) / VOCABULARY)
    checkpoint = _assemble(sections, vocab, texts.get(META, {}), Path(source))
    checkpoint.state = state
    return checkpoint


def _sections(checkpoint: Checkpoint) -> Dict[str, Dict[str, Any]]:
    header = {"format_version": FORMAT_VERSION, "kind": checkpoint.kind}
    return {"checkpoint": header, "model": checkpoint.model, "indexer": checkpoint.indexer}


def _assemble(sections: Config, vocab: Optional[List[str]], meta: Dict[str, Any], path: Path) -> Checkpoint:
    """Join the text parts, weights still missing, and check that they belong together."""
    header = sections.get("checkpoint", {})
    if header.get("format_version") != FORMAT_VERSION:
        found = header.get("format_version", "unknown")
        raise ValueError(Errors.G204.format(path=path, found=found, expected=FORMAT_VERSION))
    for section in ("model", "indexer"):
        if not isinstance(sections.get(section), dict):
            raise ValueError(Errors.G206.format(path=path / CONFIG, reason=f"section [{section}] is missing"))
    checkpoint = Checkpoint(
        str(header.get("kind")), dict(sections["model"]), dict(sections["indexer"]), {}, vocab, meta
    )
    _check_vocab(checkpoint, path)
    return checkpoint


def _check_vocab(checkpoint: Checkpoint, path: PathLike) -> None:
    expected = checkpoint.model.get("vocab_size")
    if checkpoint.vocab is not None and expected is not None and len(checkpoint.vocab) != expected:
        raise ValueError(
            Errors.G205.format(path=Path(path) / VOCABULARY, found=len(checkpoint.vocab), expected=expected)
        )


def _read_config(data: bytes, path: Path) -> Config:
    try:
        return Config().from_bytes(data)
    except Exception as error:  # confection raises many kinds; all mean that this text is no config
        raise ValueError(Errors.G206.format(path=path, reason=error)) from None


def _read_json(data: bytes, path: Path) -> Dict[str, Any]:
    try:
        return dict(json.loads(data))
    except (ValueError, TypeError) as error:
        raise ValueError(Errors.G206.format(path=path, reason=error)) from None


def _read_weights(path: Path) -> Dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except SafetensorError as error:
        raise ValueError(Errors.G201.format(path=path, reason=error)) from None


def _encode_vocab(vocab: List[str]) -> bytes:
    return "".join(f"{word}\n" for word in vocab).encode("utf8")


def _decode_vocab(data: bytes, path: Path) -> List[str]:
    try:
        return data.decode("utf8").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise ValueError(Errors.G206.format(path=path, reason=error)) from None
