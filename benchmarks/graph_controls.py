"""Did the graphs learn something? The same model and text with learned graphs and with graphs that learn nothing.

    python benchmarks/graph_controls.py configs/pretrain_glomo.cfg --corpus corpus --output controls --equal-time

Variants, alike in everything but the graphs:
    learned          the config's own model
    uniform          every head attends equally to the whole past
    zero             no messages: every row of every graph is empty
    windows          eight heads fixed on the last 1, 3, 12 and all tokens, twice
    windows-uniform  the config's own fixed windows, with uniform heads in the place of the learned ones

Each is trained with each seed on equal tokens. With `--equal-time`, `learned` is then trained again, on as many tokens
as it manages in the time that a control took for all of them: the medians of the runs' own wall times decide, and those
of the controls, which cost the same, are taken together. Keep the machine's other load even meanwhile. With
`--init-from`, each variant goes on from what it has learned before: the checkpoint of that name, `{variant}` replaced;
`learned` from that of `windows-uniform`, whose words are as good and whose other heads are as its own begin with
`flat_start`.
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
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.training.config import load_config

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
    return {**result, "variant": variant, "seed": seed, "tokens": tokens}


def tokens_in_equal_time(results: Sequence[Dict[str, Any]]) -> int:
    """Tokens that `learned` manages in the time that a control took for all of its."""
    learned = [row for row in results if row["variant"] == "learned"]
    seconds = statistics.median(row["seconds"] for row in results if row["variant"] != "learned")
    return int(statistics.median(row["tokens"] * seconds / row["seconds"] for row in learned))


def table(results: Sequence[Dict[str, Any]]) -> str:
    """Markdown: one row per variant and budget."""
    lines = ["| graphs | tokens | held-out loss | by step | seeds | seconds |", "|---|---|---|---|---|---|"]
    for variant, tokens in sorted(
        {(row["variant"], row["tokens"]) for row in results}, key=lambda key: (key[1], key[0])
    ):
        rows = [row for row in results if (row["variant"], row["tokens"]) == (variant, tokens)]
        losses = [row["loss"] for row in rows]
        deviation = statistics.stdev(losses) if len(losses) > 1 else float("nan")
        by_step = " ".join(f"{statistics.mean(step):.3f}" for step in zip(*(row["step_losses"] for row in rows)))
        line = f"| {variant} | {tokens:,} | {statistics.mean(losses):.4f} ± {deviation:.4f} | {by_step} "
        lines.append(line + f"| {len(rows)} | {statistics.median(row['seconds'] for row in rows):,.0f} |")
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
    """Train what is missing, print the tables."""
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
    if arguments.equal_time and ("learned" not in arguments.variants or len(set(arguments.variants)) < 2):
        parser.error("--equal-time needs `learned` and a control among --variants")
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = {"config_path": arguments.config, "corpus": arguments.corpus, "output": arguments.output}
    settings["init_from"] = arguments.init_from

    def results_of(runs: Iterable[RUN]) -> List[Dict[str, Any]]:
        with ThreadPoolExecutor(arguments.workers) as pool:
            return list(pool.map(lambda run: train(run, **settings), runs))

    # One seed after the other: a stopped table has whole rows.
    results = results_of(
        (variant, seed, arguments.tokens) for seed, variant in product(arguments.seeds, arguments.variants)
    )
    if arguments.equal_time:
        fewer = tokens_in_equal_time(results)
        results += results_of(("learned", seed, fewer) for seed in arguments.seeds)
    text = f"{table(results)}\n\n{differences(results, tokens=arguments.tokens)}"
    (arguments.output / "results.json").write_text(json.dumps(results, indent=2))
    (arguments.output / "results.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
