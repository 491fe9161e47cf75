"""`python -m glomo_spacy.training CONFIG …`: the command `pretrain` for a machine that has neither spaCy nor Typer."""

import argparse
import sys
from pathlib import Path
from typing import List

from .command import pretrain_config


def main(arguments: List[str]) -> int:
    """Run the command and return the exit status; an error of ours is one line.

    arguments (List[str]): Config, options, and overrides such as `--paths.corpus DIRECTORY`.
    """
    parser = argparse.ArgumentParser(prog="python -m glomo_spacy.training", allow_abbrev=False)
    parser.add_argument("config_path", type=Path, metavar="CONFIG")
    parser.add_argument("--output", type=Path, help="the run's directory; default: paths.output")
    parser.add_argument("--resume", action="store_true", help="go on from the newest training state there")
    parser.add_argument("--init-from", type=Path, help="checkpoint directory whose weights are the start")
    parser.add_argument("--exclude", action="append", default=[], help="pattern of weights --init-from leaves alone")
    parser.add_argument("--gpu-id", type=int, help="GPU to use, -1 for the CPU; default: system.device")
    options, overrides = parser.parse_known_args(arguments)
    try:
        pretrain_config(stream=sys.stdout, overrides=overrides, **vars(options))
    except Exception as error:
        if not str(error).startswith("[G"):
            raise
        sys.stderr.write(f"✘ {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
