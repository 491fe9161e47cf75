"""How fast are graphs, training steps and the pipeline component, against the plain formulas in torch?

    python benchmarks/glomo.py                          everything at the published width (half an hour on one core)
    python benchmarks/glomo.py --parts graphs --lengths 50 --rounds 3
    python benchmarks/glomo.py --width 128 --layers 2 --convolutions 2 --head-width 32      the size of glomo_en_sm

Parts: `graphs` (every graph of a batch), `step` (one SGD step of pretraining), `memory` (peak of the mixed graph) and
`pipe` (words per second of `nlp.pipe` beside spaCy's stock tok2vec). The plain formulas are `tests/reference/
glomo_torch.py`. Contenders take turns in each round, on one thread; the table gives medians of processor time, which
other programs on the machine disturb less than the clock, and of the clock. Results go to a JSON file as well.
"""

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402
from reference.glomo_torch import Sizes, Transcription  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from glomo_spacy.convert.key_map import GLOMO  # noqa: E402
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel  # noqa: E402

SENTENCES = ROOT / "projects" / "quickstart" / "data" / "ewt" / "train.conllu"
N_SENTENCES = 2000
STEP_BATCH, STEP_LENGTH, STEP_POSITIONS = 8, 200, 20
NEAR_NOTHING = 0.01  # of the largest score of a row
Times = Dict[str, Tuple[float, float]]  # median processor time and clock, seconds


def make_pair(options: argparse.Namespace) -> Tuple[Transcription, GlomoModel]:
    """The formulas and our model with equal weights, whose batch norms have seen some text."""
    sizes = {"vocab_size": options.vocab, "width": options.width, "n_layers": options.layers, "n_heads": options.heads}
    sizes.update(n_key_layers=options.convolutions, n_query_layers=options.convolutions, head_width=options.head_width)
    transcription = Transcription(Sizes(**sizes))
    with torch.no_grad():
        for _ in range(20):
            transcription.train().features(torch.randint(0, options.vocab, (4, 50)))
    model = GlomoModel(GlomoConfig(**{**sizes, "head_width": options.head_width or None}))
    copy_weights(transcription, model)
    return transcription.eval(), model.eval()


def copy_weights(transcription: nn.Module, model: nn.Module) -> None:
    theirs, ours = transcription.state_dict(), model.state_dict()
    names = {name: GLOMO.to_theirs(name) for name in ours}
    model.load_state_dict({name: theirs[source] if source else ours[name] for name, source in names.items()})


def take_turns(contenders: Dict[str, Callable[[], Any]], *, rounds: int) -> Times:
    """Median times of each contender; the first round only warms up."""
    times: Dict[str, List[Tuple[float, float]]] = {name: [] for name in contenders}
    for index in range(rounds + 1):
        for name, run in contenders.items():
            processor, clock = time.process_time(), time.perf_counter()
            run()
            if index:
                times[name].append((time.process_time() - processor, time.perf_counter() - clock))
    return {name: tuple(map(statistics.median, zip(*spent))) for name, spent in times.items()}  # type: ignore[misc]


def measure_graphs(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Every graph of a batch, at each length."""
    transcription, model = make_pair(options)
    half = GlomoModel(model.config)
    half.load_state_dict(model.state_dict())
    half.eval().bfloat16()
    results = []
    for length in options.lengths:
        ids = torch.randint(0, options.vocab, (options.batch, length))
        contenders = {
            "formulas, float32": lambda ids=ids: transcription.graphs(ids),
            "ours, float32": lambda ids=ids: model.graphs(ids),
            "ours, bfloat16 weights": lambda ids=ids: half.graphs(ids),
            "ours, bfloat16 autocast": lambda ids=ids: in_bfloat16(model.graphs, ids),
            "formulas, bfloat16 autocast": lambda ids=ids: in_bfloat16(transcription.graphs, ids),
        }
        with torch.inference_mode():
            times = take_turns(contenders, rounds=options.rounds)
        results += rows(f"graphs, {options.batch} x {length}", times)
        for result in results[-len(times) + 1 :]:
            result["row difference"] = row_differences(result["contender"], transcription, model, half, ids[:2])
    return results


@torch.inference_mode()
def row_differences(
    contender: str, transcription: Transcription, model: GlomoModel, half: GlomoModel, ids: Tensor
) -> Dict[str, float]:
    """Distance of each row from the formulas in float64: half the sum of absolute differences, between 0 and 1.

    A row that only scores near the threshold survive is decided by rounding: its largest rectified score is below 1 %
    of its largest score. Such rows are counted and left out of `largest` and `mean`, but not of `mean of all`.
    """
    exact = Transcription(transcription.sizes).double().eval()
    exact.load_state_dict(transcription.state_dict())
    computed = {
        "ours, float32": lambda: model.graphs(ids),
        "ours, bfloat16 weights": lambda: half.graphs(ids),
        "ours, bfloat16 autocast": lambda: in_bfloat16(model.graphs, ids),
        "formulas, bfloat16 autocast": lambda: in_bfloat16(transcription.graphs, ids),
    }[contender]()
    distance = 0.5 * (computed.double() - exact.graphs(ids)).abs().sum(-1)  # (batch, 2 * layers, heads, receiver)
    strength = torch.stack([strengths(exact.st_predictor_fw, exact.enc_emb(ids)), flipped_strengths(exact, ids)], 1)
    is_sound = (strength.flatten(1, 2) >= NEAR_NOTHING) | (distance == 0)
    return {
        "largest": float(distance[is_sound].max()),
        "mean": float(distance[is_sound].mean()),
        "mean of all": float(distance.mean()),
        "near nothing": float(1 - is_sound.double().mean()),
    }


def flipped_strengths(exact: Transcription, ids: Tensor) -> Tensor:
    return strengths(exact.st_predictor_bw, exact.enc_emb(ids).flip(1)).flip(-1)


def strengths(predictor: Any, embedded: Tensor) -> Tensor:
    """Largest rectified score of each row, as a share of its largest score. (batch, layers, heads, receiver)."""
    keys, queries = (predictor._encode(embedded, stack, None) for stack in (predictor.key_cnn, predictor.query_cnn))
    layers = []
    for layer, (to_key, to_query) in enumerate(zip(predictor.key_dot_trans, predictor.query_dot_trans)):
        split = (-1, (predictor.sizes.n_heads, -1))
        query, key = to_query(queries).unflatten(*split).transpose(1, 2), to_key(keys).unflatten(*split).transpose(1, 2)
        scores = (query @ key.transpose(-1, -2)).tril(-1)
        rectified = (scores - predictor.sparse_trans[layer](query)).clamp(min=0).tril(-1)
        layers.append(rectified.amax(-1) / scores.abs().amax(-1).clamp(min=1e-30))
    return torch.stack(layers, dim=1)


def measure_step(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """One SGD step of the published recipe, sampled positions, full soft-max."""
    transcription, model = make_pair(options)
    ids = torch.randint(0, options.vocab, (STEP_BATCH, STEP_LENGTH))
    left, right = torch.randint(0, STEP_LENGTH - 3, (2, STEP_POSITIONS))

    def step(network: Any, optimizer: torch.optim.Optimizer, *, is_half: bool = False) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = network.loss(ids, positions=(left, right))
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.25)
        optimizer.step()

    contenders = {}
    for name, network in (("formulas", transcription.train()), ("ours", model.train())):
        optimizer = torch.optim.SGD(network.parameters(), lr=8.0, momentum=0.2)
        contenders[f"{name}, float32"] = lambda n=network, o=optimizer: step(n, o)
        contenders[f"{name}, bfloat16 autocast"] = lambda n=network, o=optimizer: step(n, o, is_half=True)
    times = take_turns(contenders, rounds=options.rounds)
    return rows(f"step, {STEP_BATCH} x {STEP_LENGTH}, {options.vocab} words", times)


def measure_memory(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Peak growth of resident memory while the mixed graph is computed, each contender in a process of its own."""
    results = []
    for contender in ("formulas", "ours"):
        command = [sys.executable, __file__, "--memory-of", contender, "--batch", str(options.batch)]
        for name in ("width", "heads", "layers", "convolutions", "head_width", "vocab"):
            command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        command += ["--lengths", str(max(options.lengths))]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        results.append({"task": f"mixed graph, {options.batch} x {max(options.lengths)}", "contender": contender})
        results[-1]["MB"] = float(output)
    for result in results:
        result["share"] = result["MB"] / max(results[0]["MB"], 1e-9)
    return results


@torch.inference_mode()
def print_memory(options: argparse.Namespace) -> None:
    transcription, model = make_pair(options)
    network: nn.Module = transcription if options.memory_of == "formulas" else model
    del transcription, model
    ids = torch.randint(0, options.vocab, (options.batch, options.lengths[0]))
    before = forget_peak()
    if isinstance(network, GlomoModel):
        network.mixed_graph(ids)
    else:
        mixed = network.graphs(ids).mean((1, 2))
        mixed /= mixed.sum(-1, keepdim=True) + 1e-12
    print((resident("VmHWM") - before) / 1024)


def forget_peak() -> int:
    """Give freed memory back and start counting the peak anew (Linux). RETURNS: resident kB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident("VmRSS")


def resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def measure_pipe(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Words per second of `nlp.pipe` with the packaged graphs, and with spaCy's default tok2vec."""
    import spacy

    texts = read_sentences(options.text)
    graphs, stock = spacy.blank("en"), spacy.blank("en")
    graphs.add_pipe("glomo_graph")
    encoder = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 96, "depth": 4}
    encoder.update(embed_size=2000, window_size=1, maxout_pieces=3, subword_features=True)
    stock.add_pipe("tok2vec", config={"model": encoder})
    stock.initialize()
    n_words = sum(len(doc) for doc in spacy.blank("en").pipe(texts))
    contenders = {"tok2vec": lambda: list(stock.pipe(texts)), "glomo_graph": lambda: list(graphs.pipe(texts))}
    results = rows(f"nlp.pipe, {len(texts)} sentences, {n_words} words", take_turns(contenders, rounds=options.rounds))
    for result in results:
        result["words per second"] = round(n_words / result["processor s"])
    return results


def read_sentences(path: Path) -> List[str]:
    """Lines of a text file, or the texts of a CoNLL-U file."""
    lines = path.read_text(encoding="utf8").splitlines()
    if path.suffix == ".conllu":
        lines = [line.partition(" = ")[2] for line in lines if line.startswith("# text = ")]
    return [line for line in lines if line.strip()][:N_SENTENCES]


def in_bfloat16(function: Callable[[Tensor], Tensor], ids: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return function(ids)


def rows(task: str, times: Times) -> List[Dict[str, Any]]:
    """One row per contender; `times as fast` compares processor time with the first contender's."""
    first = next(iter(times.values()))
    return [
        {
            "task": task,
            "contender": name,
            "processor s": round(processor, 4),
            "clock s": round(clock, 4),
            "times as fast": round(first[0] / processor, 2),
            "times as fast (clock)": round(first[1] / clock, 2),
        }
        for name, (processor, clock) in times.items()
    ]


def machine() -> Dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    versions = {"python": platform.python_version(), "torch": torch.__version__, "load": os.getloadavg()[0]}
    return {"processor": models[0] if models else platform.processor(), "threads": 1, **versions}


def print_table(results: List[Dict[str, Any]]) -> None:
    for task in dict.fromkeys(result["task"] for result in results):
        group = [result for result in results if result["task"] == task]
        columns = list(dict.fromkeys(column for result in group for column in result if column != "task"))
        print(f"\n### {task}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for result in group:
            print(f"| {' | '.join(show(result.get(column, '')) for column in columns)} |")


def show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.2g}" for name, number in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


PARTS = {"graphs": measure_graphs, "step": measure_step, "memory": measure_memory, "pipe": measure_pipe}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--head-width", type=int, default=0, help="0: half the width, as published")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--convolutions", type=int, default=4, help="of the key and of the query encoder")
    parser.add_argument("--vocab", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 400])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", type=Path, default=SENTENCES, help="sentences for `pipe`: one per line, or CoNLL-U")
    parser.add_argument("--output", type=Path, default=None, help="JSON file; default: only the table")
    parser.add_argument("--memory-of", choices=["formulas", "ours"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.memory_of:
        print_memory(options)
        return
    results: List[Dict[str, Any]] = []
    for part in options.parts:
        measured = PARTS[part](options)
        print_table(measured)
        results += measured
    if options.output:
        report = {"machine": machine(), "options": {**vars(options), "text": options.text.name}, "results": results}
        report["options"]["output"] = options.output.name
        options.output.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf8")
    print(f"\n{json.dumps(machine())}")


if __name__ == "__main__":
    main()
