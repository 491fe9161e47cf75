"""`glomo-spacy extract`: the vectors of each token of a corpus, in files."""

import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import typer

from ..embedder import PRETRAINED
from ..errors import Errors
from ..files import sha256_of
from ._app import Arg, Opt

if TYPE_CHECKING:
    from ..corpora.text_files import TextFile
    from ..embedder import Embedder
    from ._feature_folder import FeatureFolder, FeatureSettings


@dataclass(frozen=True)
class Extraction:
    """What `extract` made.

    path (Path): The folder of shards, or the one file.
    record (Dict[str, Any]): Settings, weights, texts and sizes, as in `extract.json`.
    n_made (int): Shards made by this call. The others were there, or are missing.
    n_tokens (int): Tokens of the shards made by this call.
    missing (List[str]): Names of shards that are not there yet, since they are other parts'.
    n_bytes (int): Size of the vectors on disk.
    seconds (float): Time of this call.
    """

    path: Path
    record: Dict[str, Any]
    n_made: int
    n_tokens: int
    missing: List[str]
    n_bytes: int
    seconds: float


def extract_cli(
    text: List[str] = Arg(
        ...,
        help="Files or patterns in quotes ('text/*.txt'), also .gz .xz .bz2: one tokenised sentence a line, or --raw",
    ),
    output: Path = Arg(..., help="Folder for shards; or NAME.hdf5 or NAME.safetensors for a single file"),
    pretrained: str = Opt(PRETRAINED, "--pretrained", "-m", help="Packaged name or checkpoint directory"),
    raw: bool = Opt(False, "--raw", help="The text is raw: let spaCy tokenise it and find the sentences"),
    lang: str = Opt("en", "--lang", "-l", help="Language of the tokeniser, for --raw"),
    file_format: Optional[str] = Opt(
        None, "--format", "-f", help="hdf5 (bilm-tf's layout) or safetensors. Default: by OUTPUT, else hdf5"
    ),
    layer: str = Opt("all", "--layer", help="all; mean; or one: 0 is the words without context, -1 the topmost"),
    dtype: str = Opt("float32", "--dtype", help="float32, or float16 for half the size"),
    state: str = Opt(
        "zero", "--state", help="zero: equal sentences, equal vectors; carry: each goes on from the last, as bilm-tf"
    ),
    shard_tokens: int = Opt(100_000, "--shard-tokens", help="Tokens per shard, about; work is kept shard by shard"),
    n_process: int = Opt(1, "--n-process", "-p", help="Processes that share the work, one thread each"),
    part: str = Opt(
        "1/1", "--part", help="Make a part of the shards: 2/8 is the second of eight machines on one OUTPUT"
    ),
    device: str = Opt("cpu", "--device", help="torch device, e.g. cpu or cuda:0"),
    force: bool = Opt(False, "--force", "-F", help="Start afresh: remove earlier features at OUTPUT"),
) -> None:
    """
    Write the vectors of every token of a corpus: one array (layers, tokens, width) per sentence, under the sentence's
    number as text. That is the line number from 0, as in bilm-tf; with --raw see the .tokens.txt beside the vectors.

    Stop it at any time: finished shards stay, and the same command goes on from there, to the same files. Examples:

    glomo-spacy extract sentences.txt features -p 4

    glomo-spacy extract 'wiki/*.txt' wiki.safetensors --raw --layer mean --dtype float16
    """
    from ..corpora.feature_files import FORMATS
    from ._feature_folder import FeatureSettings

    settings = FeatureSettings(
        raw=raw,
        lang=lang,
        file_format=file_format or FORMATS.get(output.suffix, "hdf5"),
        layer=layer,
        dtype=dtype,
        state=state,
        shard_tokens=shard_tokens,
    )
    try:
        made = extract(
            text,
            output,
            pretrained=pretrained,
            settings=settings,
            n_process=n_process,
            part=parse_part(part),
            device=device,
            force=force,
            show_progress=True,
        )
    except KeyboardInterrupt:
        typer.secho("Stopped. Finished shards are kept; the same command goes on from there.", fg="yellow", err=True)
        raise typer.Exit(130) from None
    _print_table(made)


def extract(
    text: Sequence[str],
    output: Path,
    *,
    pretrained: str = PRETRAINED,
    settings: "Optional[FeatureSettings]" = None,
    n_process: int = 1,
    part: Tuple[int, int] = (1, 1),
    device: str = "cpu",
    force: bool = False,
    show_progress: bool = False,
) -> Extraction:
    """Extract features of a corpus, or go on where an earlier call stopped.

    text (Sequence[str]): Paths or patterns.
    output (Path): Folder for the shards. With the suffix of a feature file it is one, and the shards stand in
        `NAME.parts` beside it until all of them are there.
    pretrained (str): Packaged name or checkpoint directory.
    settings (Optional[FeatureSettings]): What decides the contents. None: the defaults.
    n_process (int): Processes that share the work. The result is the same for any number.
    part (Tuple[int, int]): Make only every n-th shard, beginning with the k-th: (k, n), k from 1.
    device (str): torch device.
    force (bool): Remove earlier features at `output` first.
    show_progress (bool): Draw progress bars.
    RETURNS (Extraction): What there is now.
    RAISES: G046 (FileNotFoundError) without such a model, G203 (ValueError) for one of another kind; G004-G006 for the
        text; G228 (ImportError) without h5py; G047 or G050 (ValueError) if `output` holds something else; G051
        (RuntimeError) if a process ended; G900 (OSError) if the disk is full.
    """
    from ..corpora.feature_files import FORMATS, SUFFIXES, require_h5py
    from ..corpora.text_files import find_text_files
    from ..embedder import Embedder
    from ._feature_folder import FeatureSettings, parse_layer
    from ._feature_places import open_folder, remove_features
    from ._feature_work import make_shards
    from ._sentences import read_sentences

    started = time.perf_counter()
    settings = settings or FeatureSettings()
    if FORMATS.get(output.suffix, settings.file_format) != settings.file_format:
        raise ValueError(Errors.G056.format(path=output, suffixes=SUFFIXES[settings.file_format]))
    if settings.file_format == "hdf5":
        require_h5py()
    embedder = Embedder(pretrained, state=settings.state, device=device)
    embedder.check_layer(parse_layer(settings.layer))
    files = find_text_files(text)
    header = _header(embedder, settings=settings, files=files)
    single = output if output.suffix in FORMATS else None
    folder_path = output if single is None else Path(f"{output}.parts")
    if force:
        remove_features(folder_path, single)
    if single is not None and single.exists():
        return _already_there(single, header, started=started)
    with _bar("Read", sum(file.n_bytes for file in files), unit="B", show=show_progress) as progress:
        sentences = read_sentences(files, raw=settings.raw, lang=settings.lang, progress=progress)
        folder = open_folder(folder_path, sentences, header=header)
    mine = folder.shards[part[0] - 1 :: part[1]]
    todo = [shard for shard in mine if not folder.is_made(shard)]
    n_tokens, n_left = (sum(shard.tokens for shard in shards) for shards in (mine, todo))
    with _bar("Extract", n_tokens, unit="tok", initial=n_tokens - n_left, show=show_progress) as progress:
        make_shards(folder, todo, embedder=embedder, n_process=n_process, progress=progress)
    missing = [shard.name for shard in folder.missing()]
    n_bytes = _finish(folder, single if not missing else None)
    seconds = time.perf_counter() - started
    return Extraction(output, folder.record, len(todo), n_left, missing, n_bytes=n_bytes, seconds=seconds)


def parse_part(text: str) -> Tuple[int, int]:
    """Read "2/8", the second of eight parts. RAISES: G049 (ValueError) for anything else."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(Errors.G049.format(value=text))
    return int(match[1]), int(match[2])


def _header(embedder: "Embedder", *, settings: "FeatureSettings", files: "List[TextFile]") -> Dict[str, Any]:
    """All that decides the contents of the files."""
    from ..models.checkpoint import WEIGHTS

    return {
        **asdict(settings),
        "n_layers": embedder.n_layers,
        "width": embedder.width,
        "model": embedder.directory.name,
        "weights": sha256_of(embedder.directory / WEIGHTS),
        "text": [file.describe() for file in files],
    }


def _already_there(path: Path, header: Dict[str, Any], *, started: float) -> Extraction:
    """A single file that an earlier call completed."""
    from ..corpora.feature_files import read_record
    from ._feature_places import check_same

    record = read_record(path)
    check_same(record, header, path=path)
    seconds = time.perf_counter() - started
    return Extraction(path, record, 0, 0, missing=[], n_bytes=path.stat().st_size, seconds=seconds)


def _finish(folder: "FeatureFolder", single: Optional[Path]) -> int:
    """Join the shards into a single file if one is wanted; returns the bytes of the vectors."""
    if single is None:
        return sum(folder.features(shard).stat().st_size for shard in folder.shards if folder.is_made(shard))
    folder.join(single)
    shutil.rmtree(folder.path)
    return single.stat().st_size


@contextmanager
def _bar(name: str, total: int, *, unit: str, show: bool, initial: int = 0) -> Iterator[Callable[[int], Any]]:
    from tqdm import tqdm

    with tqdm(total=total, initial=initial, desc=name, unit=unit, unit_scale=True, delay=0.5, disable=not show) as bar:
        yield bar.update


def _print_table(made: Extraction) -> None:
    from wasabi import table

    record = made.record
    layers = f"{record['n_layers']} layers" if record["layer"] == "all" else f"layer {record['layer']}"
    rows = [
        ("Sentences", f"{record['sentences']:,}"),
        ("Tokens", f"{record['tokens']:,}"),
        ("Vectors of a token", f"{layers}, width {record['width']:,}, {record['dtype']}"),
        ("Size", f"{made.n_bytes / 1e6:,.1f} MB"),
        ("Shards made now", f"{made.n_made:,}"),
        (
            "Time",
            f"{made.seconds:,.1f} s" + (f" ({made.n_tokens / made.seconds:,.0f} tokens/s)" if made.n_made else ""),
        ),
    ]
    print(table(rows, aligns=("l", "r")))
    if made.missing:
        typer.secho(f"{made.path}: {len(made.missing)} shards are missing, those of other parts.", fg="yellow")
    else:
        typer.secho(f"✔ {made.path}", fg="green")
