"""What `prepare --format squad` says about a corpus of questions."""

from pathlib import Path
from typing import Any, Dict


def print_squad_table(record: Dict[str, Any], *, output: Path, seconds: float) -> None:
    """Print sizes, how answers fit the tokens, and how many tokens have a vector.

    record (Dict[str, Any]): What stands in `corpus.json`.
    output (Path): Where it was written.
    seconds (float): How long it took.
    """
    from wasabi import table

    header = ("Split", "Contexts", "Questions", "Longest", "Answers", "Exact", "Widened", "Lost", "Moved")
    rows = [_row(split, sizes) for split, sizes in record["splits"].items()]
    print(table(rows, header=header, divider=True, aligns=("l", *"r" * (len(header) - 1))))
    for split, sizes in record["splits"].items():
        if sizes["unanswerable_left_out"]:
            print(f"Questions without an answer left out of {split}: {sizes['unanswerable_left_out']:,}")
    print(f"Spellings: {record['n_types']:,}")
    if vectors := record["vectors"]:
        print(f"Vectors: {vectors['n_words']:,} words of width {vectors['width']} from {vectors['file']}")
        for split, sizes in record["splits"].items():
            known = sizes["known"]
            print(
                f"With a vector in {split}: {known['contexts']:.2%} of contexts, {known['questions']:.2%} of questions"
            )
    print(f"Time: {seconds:.1f} s")
    print(f"✔ {output}")


def _row(split: str, sizes: Dict[str, Any]) -> tuple[str, ...]:
    answers = sizes["answers"]
    n_answers = sum(answers[name] for name in ("exact", "widened", "lost"))
    shares = (f"{answers[name]:,} ({answers[name] / n_answers:.2%})" for name in ("exact", "widened"))
    counts = (f"{sizes[name]:,}" for name in ("contexts", "questions", "longest_context"))
    return split, *counts, f"{n_answers:,}", *shares, f"{answers['lost']:,}", f"{answers['moved']:,}"
