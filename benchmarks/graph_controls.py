"""Did the graphs learn something? The same model and text with learned graphs and with graphs that learn nothing.

    python benchmarks/graph_controls.py configs/pretrain_glomo.cfg --corpus corpus --output controls --equal-time

Variants, alike in everything but the graphs:
    learned          the config's own model
    uniform          every head attends equally to the whole past
    zero             no messages: every row of every graph is empty
    windows          eight heads fixed on the last 1, 3, 12 and all tokens, twice
    windows-uniform  the config's own fixed windows, with uniform heads in the place of the learned ones

Each is trained with each seed on equal tokens. With `--equal-time`, `learned` is trained again on as many tokens as it
manages in the time that a control needs for all of them (they cost the same: the median of their speeds counts). The
speeds are measured side by side, in processor time, before anything is trained. With `--init-from`, each variant goes
on from what it has learned before: the checkpoint of that name, `{variant}` replaced; `learned` from that of
`windows-uniform`, whose words are as good and whose other heads are as its own begin with `flat_start`.
Runs that are finished are not run again and runs that were interrupted go on. Prints two Markdown tables: the exact
held-out loss in nats per target, and what each control loses to `learned` on the same seed, since a seed also decides
which part of the text is read. Means and standard deviations over seeds. All figures go to OUTPUT.
"""

import argparse
import fnmatch
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch

from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.models.memory import keep_compiled_products
from glomo_spacy.training.config import build_choice, load_config
from glomo_spacy.training.objectives import build_objective
from glomo_spacy.training.optimizers import OPTIMIZERS, awaken

VARIANTS = ("learned", "uniform", "zero", "windows", "windows-uniform")
RUN = Tuple[str, int, int]  # variant, seed, tokens


def variant_heads(variant: str, model: Dict[str, Any]) -> Dict[str, Any]:
    """The heads that make a variant out of the config's model."""
    n_heads, own = model["n_heads"], list(model["fixed_windows"])
    return {
        "learned": {},
        "uniform": {"fixed_windows": [-1] * n_heads},
        "zero": {"fixed_windows": [0] * n_heads},
        "windows": {"fixed_windows": [1, 3, 12, -1] * 2, "n_heads": 8, "head_channels": []},
        "windows-uniform": {"fixed_windows": own + [-1] * (n_heads - len(own))},
    }[variant]


def variant_overrides(variant: str, config: Dict[str, Any]) -> Dict[str, Any]:
    """What makes a variant out of the config: its heads, and rates and starts of the parameters that it has."""
    heads = variant_heads(variant, config["model"])
    model = GlomoModel(GlomoConfig(**{**config["model"], "vocab_size": 1, **heads}))
    names = [name for name, _ in model.named_parameters()]
    overrides: Dict[str, Any] = {f"model.{name}": value for name, value in heads.items()}
    for setting, values in config["pretraining"]["optimizer"].items():
        if setting in ("multipliers", "starts"):
            kept = {pattern: value for pattern, value in values.items() if fnmatch.filter(names, pattern)}
            overrides[f"pretraining.optimizer.{setting}"] = kept
    return overrides


def measure_speeds(config_path: Path, corpus: str, *, rounds: int = 31) -> Dict[str, float]:
    """Tokens per second of processor time over a whole run, variants interleaved: medians of steps of the phases of the
    run, which begin where `pretraining.optimizer.starts` says. Windows have their full length here: the products of
    another length would be compiled first, which a run does once for each."""
    keep_compiled_products()
    steps: Dict[str, Any] = {}
    is_half = False
    for variant in VARIANTS:
        overrides: Dict[str, Any] = {"paths.corpus": corpus, "corpora.vary": False}
        overrides |= variant_overrides(variant, load_config(config_path, overrides=overrides))
        config = load_config(config_path, overrides=overrides)
        is_half = config["system"]["precision"] == "bf16-mixed"
        objective = build_objective(config, seed=0)
        settings = build_choice(OPTIMIZERS, name="pretraining.optimizer", values=config["pretraining"]["optimizer"])
        steps[variant] = (objective, settings.build(objective.model))
    seconds: Dict[Tuple[str, float], List[float]] = {}
    for turn, (variant, (objective, optimizer)) in product(range(rounds), steps.items()):
        for begin in _phases(optimizer):
            awaken(optimizer, begin, is_shared=False)
            batch = next(objective.batches)
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                loss = objective.loss(*batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if turn > 1:
                seconds.setdefault((variant, begin), []).append((time.process_time() - start) / batch[0].numel())
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    return {
        variant: 1 / sum(length * medians[variant, begin] for begin, length in _phases(optimizer).items())
        for variant, (_, optimizer) in steps.items()
    }


def _phases(optimizer: torch.optim.Optimizer) -> Dict[float, float]:
    """Length of each part of a run by its begin: a new one begins when parameters begin to learn. Shares of the run."""
    begins = sorted({0.0, *(group["start"] for group in optimizer.param_groups)})
    return {begin: end - begin for begin, end in zip(begins, [*begins[1:], 1.0])}


def train(run: RUN, *, config_path: Path, corpus: str, output: Path, init_from: Optional[str] = None) -> Dict[str, Any]:
    """Train one variant in a process of its own, unless that is done, and give its last evaluation."""
    variant, seed, tokens = run
    folder = output / f"{variant}-{tokens}-{seed}"
    overrides = variant_overrides(variant, load_config(config_path, overrides={"paths.corpus": corpus}))
    log = folder / "log.jsonl"
    if not _is_finished(log, tokens):
        command = [sys.executable, "-m", "glomo_spacy.training", str(config_path)]
        command += ["--paths.corpus", corpus, "--paths.output", str(folder), "--system.seed", str(seed)]
        command += [f"--{name}={json.dumps(value)}" for name, value in overrides.items()]
        command += ["--pretraining.max_tokens", str(tokens), "--pretraining.max_epochs=null"]
        command += ["--pretraining.evaluate_every", "1000000"]  # once, at the end
        if (folder / "training").exists():
            command += ["--resume"]
        elif init_from is not None:
            earlier = "windows-uniform" if variant == "learned" else variant
            command += ["--init-from", init_from.format(variant=earlier)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    result = _evaluations(log)[-1]
    print(f"{variant} seed {seed}: {result['loss']:.4f} after {result['tokens']:,} tokens", flush=True)
    return {"variant": variant, "seed": seed, "tokens": tokens, **result}


def table(results: Sequence[Dict[str, Any]], speeds: Dict[str, float]) -> str:
    """Markdown: one row per variant and budget."""
    lines = ["| graphs | tokens | held-out loss | by step | seeds | tokens/s |", "|---|---|---|---|---|---|"]
    for variant, tokens in sorted(
        {(row["variant"], row["tokens"]) for row in results}, key=lambda key: (key[1], key[0])
    ):
        rows = [row for row in results if (row["variant"], row["tokens"]) == (variant, tokens)]
        losses = [row["loss"] for row in rows]
        deviation = statistics.stdev(losses) if len(losses) > 1 else float("nan")
        by_step = " ".join(f"{statistics.mean(step):.3f}" for step in zip(*(row["step_losses"] for row in rows)))
        line = f"| {variant} | {tokens:,} | {statistics.mean(losses):.4f} ± {deviation:.4f} | {by_step} "
        lines.append(line + f"| {len(rows)} | {speeds[variant]:,.0f} |")
    return "\n".join(lines)


def differences(results: Sequence[Dict[str, Any]], *, tokens: int) -> str:
    """Markdown: control minus learned on the same seed; `learned` with all tokens, and with as much time."""
    losses = {(row["variant"], row["tokens"] >= tokens, row["seed"]): row["loss"] for row in results}
    lines = ["| control | loses at equal tokens | at equal time | seeds |", "|---|---|---|---|"]
    for variant in VARIANTS[1:]:
        seeds = [seed for seed in sorted({row["seed"] for row in results}) if (variant, True, seed) in losses]
        cells = []
        for is_whole in (True, False):
            gaps = [
                losses[variant, True, seed] - losses["learned", is_whole, seed]
                for seed in seeds
                if ("learned", is_whole, seed) in losses
            ]
            deviation = statistics.stdev(gaps) if len(gaps) > 1 else float("nan")
            cells.append(f"{statistics.mean(gaps):+.4f} ± {deviation:.4f}" if gaps else "not run")
        lines.append(f"| {variant} | {cells[0]} | {cells[1]} | {len(seeds)} |")
    return "\n".join(lines)


def _evaluations(log: Path) -> List[Dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text(encoding="utf8").splitlines()] if log.exists() else []
    return [line for line in lines if line.get("event") == "evaluation"]


def _is_finished(log: Path, tokens: int) -> bool:
    done = _evaluations(log)
    return bool(done) and done[-1]["tokens"] >= tokens


def main() -> None:
    """Measure speeds, train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="pretraining config of the learned variant")
    parser.add_argument("--corpus", required=True, help="directory written by `glomo-spacy prepare`")
    parser.add_argument("--output", type=Path, required=True, help="where runs and table are kept")
    parser.add_argument("--tokens", type=int, default=3_800_000, help="tokens per run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--equal-time", action="store_true", help="also train `learned` as long as the controls take")
    parser.add_argument("--init-from", help="checkpoints to go on from, e.g. 'controls/{variant}-9500000-1/model-best'")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side, one thread each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    speed_file = arguments.output / "speeds.json"
    if not speed_file.exists():
        speed_file.write_text(json.dumps(measure_speeds(arguments.config, arguments.corpus), indent=2))
    speeds = json.loads(speed_file.read_text())
    runs = [(variant, seed, arguments.tokens) for seed in arguments.seeds for variant in arguments.variants]
    if arguments.equal_time:
        control = statistics.median(speeds[variant] for variant in VARIANTS if variant != "learned")
        fewer = int(arguments.tokens * speeds["learned"] / control)
        runs += [("learned", seed, fewer) for seed in arguments.seeds]
    runs.sort(key=lambda run: arguments.seeds.index(run[1]))  # one seed after the other: a stopped table has whole rows
    with ThreadPoolExecutor(arguments.workers) as pool:
        settings = {"config_path": arguments.config, "corpus": arguments.corpus, "output": arguments.output}
        settings["init_from"] = arguments.init_from
        results = list(pool.map(lambda run: train(run, **settings), runs))
    text = f"{table(results, speeds)}\n\n{differences(results, tokens=arguments.tokens)}"
    (arguments.output / "results.json").write_text(json.dumps({"speeds": speeds, "runs": results}, indent=2))
    (arguments.output / "results.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
