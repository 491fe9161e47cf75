"""A trained reader as a spaCy pipeline, complete with its vectors, graphs and biLM.

python scripts/pipeline.py packaged/reader_qa_en_sm packaged/qa_en_sm
"""

from pathlib import Path

import spacy
import typer

from glomo_spacy.cli import clear_errors

COMPONENT = "extractive_qa"


def main(
    reader: Path = typer.Argument(..., help="Checkpoint of a reader", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Directory of the pipeline"),
    lang: str = typer.Option("en", help="Language of the tokeniser"),
) -> None:
    """Make it and say how large it is."""
    nlp = spacy.blank(lang)
    model = {"@architectures": "glomo_spacy.ExtractiveQA.v1", "pretrained": str(reader)}
    nlp.add_pipe(COMPONENT, config={"model": model})
    nlp.meta["name"] = output.name
    nlp.to_disk(output)
    n_bytes = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(f"✔ {output}: {n_bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
