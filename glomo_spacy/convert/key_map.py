"""Names of weights in foreign checkpoints and in ours, as tables that read in both directions.

A rule is a pair of templates. `{i}` stands for a number, `{leaf}` for the last part of a name; both are carried over.
"""

import re
from typing import List, NamedTuple, Optional, Tuple

Rule = Tuple[str, str]

# The published GLoMo pretraining code, one direction: `fw` there, `left` here.
_GLOMO_DIRECTION: List[Rule] = [
    ("st_predictor_{side}.key_cnn.{i}.0.{leaf}", "{side}.graph.key_cnn.blocks.{i}.conv.{leaf}"),
    ("st_predictor_{side}.key_cnn.{i}.1.{leaf}", "{side}.graph.key_cnn.blocks.{i}.norm.{leaf}"),
    ("st_predictor_{side}.query_cnn.{i}.0.{leaf}", "{side}.graph.query_cnn.blocks.{i}.conv.{leaf}"),
    ("st_predictor_{side}.query_cnn.{i}.1.{leaf}", "{side}.graph.query_cnn.blocks.{i}.norm.{leaf}"),
    ("st_predictor_{side}.key_dot_trans.{i}.{leaf}", "{side}.graph.keys.{i}.{leaf}"),
    ("st_predictor_{side}.query_dot_trans.{i}.{leaf}", "{side}.graph.queries.{i}.{leaf}"),
    ("st_predictor_{side}.sparse_bias", "{side}.graph.sparsity.shift"),
    ("st_predictor_{side}.sparse_trans.{i}.{leaf}", "{side}.graph.sparsity.thresholds.{i}.{leaf}"),
    ("st_predictor_{side}.gru_cell.{leaf}", "{side}.features.gru_cell.{leaf}"),
    ("st_predictor_{side}.value_trans.{i}.{leaf}", "{side}.features.values.{i}.{leaf}"),
    ("dec_net_{side}.rnn_fw.{leaf}", "{side}.decoder.gru.{leaf}"),
]

GLOMO_RULES: List[Rule] = [
    ("enc_emb.weight", "embedding.weight"),
    *((theirs.replace("{side}", "fw"), ours.replace("{side}", "left")) for theirs, ours in _GLOMO_DIRECTION),
    *((theirs.replace("{side}", "bw"), ours.replace("{side}", "right")) for theirs, ours in _GLOMO_DIRECTION),
]

# The public PyTorch Mogrifier LSTM: what is copied as it is. Gates of its LSTM have another order.
MOGRIFIER_RULES: List[Rule] = [
    ("encoder.weight", "embedding.weight"),
    ("decoder.{leaf}", "output.{leaf}"),
    ("mogrify.layers.{i}.Qw.weight", "body.layers.0.q_weights.{i}"),
    ("mogrify.layers.{i}.Qw.bias", "body.layers.0.q_biases.{i}"),
    ("mogrify.layers.{i}.Rw.weight", "body.layers.0.r_weights.{i}"),
    ("mogrify.layers.{i}.Rw.bias", "body.layers.0.r_biases.{i}"),
]

_FIELDS = {"{i}": r"(?P<i>\d+)", "{leaf}": r"(?P<leaf>[^.]+)"}


class KeyMap(NamedTuple):
    """Rename weights by a table of rules.

    rules (List[Rule]): (foreign template, our template); the first that fits is used.
    """

    rules: List[Rule]

    def to_ours(self, name: str) -> Optional[str]:
        """Our name of a foreign weight, or None if no rule fits."""
        return _rename(name, self.rules)

    def to_theirs(self, name: str) -> Optional[str]:
        """The foreign name of one of our weights, or None if no rule fits."""
        return _rename(name, [(ours, theirs) for theirs, ours in self.rules])


GLOMO = KeyMap(GLOMO_RULES)
MOGRIFIER = KeyMap(MOGRIFIER_RULES)


def _rename(name: str, rules: List[Rule]) -> Optional[str]:
    for source, target in rules:
        match = re.fullmatch(_pattern(source), name)
        if match:
            return target.format(**match.groupdict())
    return None


def _pattern(template: str) -> str:
    pattern = re.escape(template)
    for field, expression in _FIELDS.items():
        pattern = pattern.replace(re.escape(field), expression)
    return pattern
