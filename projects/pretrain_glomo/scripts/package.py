"""Store a checkpoint in half precision: half the size, and how the packaged weights are kept.

    python scripts/package.py training/glomo_sm/model-best packaged/glomo_sm --name glomo_sm

The weights are loaded as float32 again; rounding changes a graph's weights by about 0.001.
"""

import argparse
from pathlib import Path

import torch

from glomo_spacy.models.checkpoint import build_model, read_checkpoint, save_checkpoint


def main() -> None:
    """Read, round, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--name", help="kept in meta.json")
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(arguments.checkpoint)
    meta = {key: value for key, value in checkpoint.meta.items() if key not in ("sha256", "format_version")}
    if arguments.name:
        meta = {"name": arguments.name, **meta}
    model = build_model(checkpoint, source=str(arguments.checkpoint))
    save_checkpoint(
        arguments.output, model, indexer=checkpoint.indexer, vocab=checkpoint.vocab, meta=meta, dtype=torch.float16
    )
    size = sum(path.stat().st_size for path in arguments.output.iterdir())
    print(f"✔ {arguments.output}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
