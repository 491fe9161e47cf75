"""Every message the package raises or warns with, under its code.

`G0xx` input, `G1xx` configuration, `G2xx` checkpoints, `G3xx` training, `G9xx` files. A message names the value met,
the value expected and the next step; `Errors.G001.format(...)` gives the text with its code in front.
"""

from typing import Any


class _WithCodes(type):
    """Prefix each message with its code on access, as spaCy's own `Errors` does."""

    def __getattribute__(cls, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("G") and isinstance(value, str):
            return f"[{name}] {value}"
        return value


class Errors(metaclass=_WithCodes):
    """Messages of exceptions."""

    # --- G0xx: input -------------------------------------------------------------------------------------------------
    G001 = "A vocabulary must list each word once and end with {unknown!r}, but has {found}. Use the vocab.txt as it was written."
    G002 = "casing = {casing!r} is not known. Choose one of: {options}."
    G003 = "The [indexer] section has {found}, but an indexer of kind {kind!r} is needed, with digits, casing and lang."
    G030 = "Each graph needs one row and one column per word: expected {expected}, but found {found}."
    G031 = "Weights of a graph must lie between 0 and 1, but one is {weight}."
    G032 = "There are {found} graph names for {expected} graphs. Give one name per graph."
    G033 = "There is nothing to show: give at least one text with at least one graph."
    G034 = "The smallest weight to draw must lie between 0.01 and 1, but is {found}."

    # --- G1xx: configuration -----------------------------------------------------------------------------------------
    G100 = "{name} = {value!r} is not available. Choose one of: {options}."
    G101 = "{name} must be {expected}, but is {value!r}."
    G102 = "width ({width}) must be divisible by the number of heads ({n_heads}): each head sends one slice of the features."
    G103 = "The mask has shape {mask}, but the ids have shape {ids}. Give one boolean per token."
    G104 = "Padding must stand at the right of each sequence: the mask has a real token after a padded one."
    G105 = "Positions must lie in [0, {limit}): {dec_len} words of a sequence of {seq} are predicted after each."

    # --- G2xx: checkpoints -------------------------------------------------------------------------------------------
    G200 = "{path} is not a checkpoint directory: {missing} is missing. Expected config.cfg, model.safetensors and meta.json."
    G201 = "{path} cannot be read as safetensors ({reason}). The file is truncated or of another format; copy or train it again."
    G202 = "The weights in {path} do not fit its config.cfg. Missing: {missing}. Unexpected: {extra}. Wrong shape: {shapes}."
    G203 = "{path} holds a checkpoint of kind {found!r}, but {expected!r} is needed here."
    G204 = "{path} was written in checkpoint format {found}, but this version reads format {expected}. Upgrade glomo-spacy."
    G205 = "{path} lists {found} words, but the model in config.cfg has vocab_size {expected}. Use the vocab.txt it was trained with."
    G206 = "{path} is not valid: {reason}."
    G207 = "{path} has SHA-256 {found}, but meta.json lists {expected}. The file was changed or damaged; copy it again."

    # --- G9xx: files -------------------------------------------------------------------------------------------------
    G900 = "{path} could not be written: {reason}. What stood there before is unchanged. Free some space and run again."
    G901 = "{path} exists already. Choose another place, or allow it to be replaced (--force)."


class Warnings(metaclass=_WithCodes):
    """Messages of warnings."""
