"""Words a second of rows of an ablation, and of the same components over a transformer of DistilBERT's size.

python scripts/speed.py configs/ud.cfg metrics/speed.json --features none --features elmo

Each pipeline has a turn, again and again, on one core, in processor time. Nothing is trained: speed does not depend on
what was learned. Further options override the config, as for `glomo-spacy ablate`.
"""

import json
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Sequence

import spacy
import torch
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training.initialize import init_nlp
from spacy.util import load_model_from_config, resolve_dot_names
from thinc.api import Config
from wasabi import Printer

from glomo_spacy.cli import clear_errors
from glomo_spacy.cli._ablation_plan import Ablation
from glomo_spacy.training.config import parse_overrides

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
TRANSFORMER = "transformer"
N_PIECES = 30_522  # of DistilBERT


def main(
    context: typer.Context,
    config: Path = typer.Argument(..., help="Config with an [ablation] section", exists=True, dir_okay=False),
    output: Path = typer.Argument(..., help="JSON file for the figures"),
    features: List[str] = typer.Option(["none", "glomo", "elmo", "mogrifier", "all"], help="Rows to measure"),
    sentences: int = typer.Option(500, help="Sentences of the test part"),
    rounds: int = typer.Option(3, help="Turns, of which the median counts"),
) -> None:
    """Measure the rows, and a transformer if spacy-transformers is installed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ablation = Ablation(config, parse_overrides(context.args))
    configs = {name: ablation.config_of(ablation.cells([name])[0]) for name in features}
    pipelines = {name: init_nlp(own) for name, own in configs.items()}
    words = read_words(configs[features[0]], ablation.section.test, n_sentences=sentences)
    if find_spec("spacy_transformers") is None:
        print("spacy-transformers is not installed: no row for a transformer.")
    else:
        pipelines[TRANSFORMER] = transformer_pipeline(configs[features[0]], words)
    save(take_turns(pipelines, words, rounds=rounds), output)


def read_words(config: Dict[str, Any], corpus: str, *, n_sentences: int) -> List[List[str]]:
    """The tokens of the first sentences of a corpus."""
    (reader,) = resolve_dot_names(config, [corpus])
    examples = reader(spacy.blank(config["nlp"]["lang"]))
    return [[token.text for token in example.predicted] for example, _ in zip(examples, range(n_sentences))]


def transformer_pipeline(config: Dict[str, Any], words: Sequence[Sequence[str]]) -> Language:
    """The components of a config over a transformer with random weights.

    config (Dict[str, Any]): Its first component is the encoder, in whose place the transformer stands.
    words (Sequence[Sequence[str]]): Sentences whose words become word pieces, so that there is about one for a word.
    """
    encoder, *others = config["nlp"]["pipeline"]
    components = {name: dict(config["components"][name]) for name in others}
    for component in components.values():
        component["model"] = {**component["model"], "tok2vec": listener()}
    with tempfile.TemporaryDirectory() as folder:
        save_transformer(Path(folder), words)
        model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": folder}
        components = {TRANSFORMER: {"factory": TRANSFORMER, "model": model}, **components}
        nlp_section = {"lang": config["nlp"]["lang"], "pipeline": list(components)}
        sections = {name: config[name] for name in ("corpora", "training", "system")}
        nlp = load_model_from_config(Config({"nlp": nlp_section, "components": components, **sections}), auto_fill=True)
        (reader,) = resolve_dot_names(config, [config["training"]["train_corpus"]])
        nlp.initialize(lambda: reader(nlp))
    return nlp


def listener() -> Dict[str, Any]:
    """A component's access to the transformer: a token's vector is the mean of those of its pieces."""
    pooling = {"@layers": "reduce_mean.v1"}
    return {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0, "pooling": pooling}


def save_transformer(folder: Path, sentences: Sequence[Sequence[str]]) -> None:
    """A transformer of DistilBERT's size with random weights, and a tokeniser that knows all words of the sentences."""
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizerFast

    counts = Counter(word.lower() for words in sentences for word in words)
    letters = sorted({letter for word in counts for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += [word for word, _ in counts.most_common(N_PIECES - len(pieces)) if len(word) > 1]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf8")
    DistilBertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    DistilBertModel(DistilBertConfig(vocab_size=N_PIECES)).save_pretrained(folder)


def take_turns(pipelines: Dict[str, Language], words: Sequence[Sequence[str]], *, rounds: int) -> Dict[str, float]:
    """Words a second of each pipeline, the median over the rounds."""
    speeds: Dict[str, List[float]] = {name: [] for name in pipelines}
    for _ in range(rounds):
        for name, nlp in pipelines.items():
            docs = [Doc(nlp.vocab, words=sentence) for sentence in words]
            begin = time.process_time()
            list(nlp.pipe(docs))
            speeds[name].append(sum(map(len, docs)) / (time.process_time() - begin))
    return {name: round(median(measured), 1) for name, measured in speeds.items()}


def save(speeds: Dict[str, float], output: Path) -> None:
    """Write and print the figures."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(speeds, indent=2) + "\n", encoding="utf8")
    slowest = speeds.get(TRANSFORMER)
    rows = [(name, f"{speed:,.0f}", f"{speed / slowest:.1f}" if slowest else "") for name, speed in speeds.items()]
    header = ("row", "words a second", "times the transformer's")
    Printer().table(rows, header=header, divider=True, aligns=("l", "r", "r"))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings=CONTEXT, help=__doc__)(main)
    with clear_errors():
        app()
