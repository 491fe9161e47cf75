"""What components must set on Docs in training too: vectors of frozen encoders, and sentence boundaries.

In training spaCy updates each component, but only those under `annotating_components` set anything on the Docs that
later components see. What spaCy 3.8 does by itself when one is missing: it logs W086 for a frozen encoder and stops
with E203 at the first step, unless another encoder annotates, whose vectors are then read in silence; a component that
annotates while its encoder does not reads zeros in silence; a name that is no component is passed over in silence;
and features that go by sentence see whole texts in training, single sentences afterwards.
"""

from typing import Dict, Iterator, List, Sequence, Set, Tuple

from ...architectures.pretrained import PretrainedShim
from ...errors import Errors, Warnings
from .finding import Finding, config_lines
from .layout import Layout


def check_annotating(layout: Layout) -> Iterator[Finding]:
    """Components that must annotate in training and do not, by the config's [training].

    YIELDS (Finding): Errors G193, G196 and G198, warning G169.
    """
    needed = _needed(layout)
    # One list for all, so that whoever copies any of them is done.
    lines = config_lines("training", annotating_components=layout.in_order(needed))
    for name in layout.annotating:
        if name not in layout.names:
            yield Finding(Errors.G198.format(name=name, names=layout.names, lines=lines))
    for encoder, (component, reason) in _unseen_encoders(layout, set(layout.annotating)).items():
        yield Finding(Errors.G193.format(component=component, encoder=encoder, reason=reason, lines=lines))
    for name, setter in _late_sentences(layout, needed).items():
        if "require" in _uses_of_sentences(layout, name):
            reason = f"{setter!r} sets when the pipeline is used, but not in training"
            yield Finding(Errors.G196.format(name=name, reason=reason, lines=lines))
        else:
            yield Finding(Warnings.G169.format(name=name, setter=setter, lines=lines), is_error=False)
    for name in _without_sentences(layout):
        lines = _with_sentencizer(layout, name)
        yield Finding(Errors.G196.format(name=name, reason="no component before it sets", lines=lines))


def _needed(layout: Layout) -> Set[str]:
    """All that must annotate: what will annotate may itself need its encoder, or sentences, to be there."""
    needed = {name for name in layout.annotating if name in layout.names}
    for _ in layout.names:  # a chain is no longer than the pipeline
        needed |= set(_unseen_encoders(layout, needed)) | set(_late_sentences(layout, needed).values())
    return needed


def _unseen_encoders(layout: Layout, annotating: Set[str]) -> Dict[str, Tuple[str, str]]:
    """Encoders that do not annotate, but would have to: the first component that reads their vectors, and why it does.

    annotating (Set[str]): Components that predict in training and so read vectors from Docs.
    """
    found: Dict[str, Tuple[str, str]] = {}
    for name in layout.names:
        for encoder in layout.upstreams(name):
            if encoder in layout.annotating:
                continue
            if encoder in layout.frozen and name not in layout.frozen:
                found.setdefault(encoder, (name, f"{encoder!r} is frozen"))
            elif name in annotating:
                found.setdefault(encoder, (name, f"{name!r} annotates"))
    return found


def _late_sentences(layout: Layout, annotating: Set[str]) -> Dict[str, str]:
    """Components that go by sentence but not in training, and the last component that sets sentences before them."""
    found = {}
    for name, setters in _readers_of_sentences(layout, annotating):
        # One that is switched off for good sets none; one that is frozen is switched off for initialisation only.
        active = [setter for setter in setters if setter not in layout.nlp.disabled or setter in layout.frozen]
        if active and not set(setters) & set(layout.annotating):
            found[name] = active[-1]
    return found


def _without_sentences(layout: Layout) -> Iterator[str]:
    """Components that insist on sentences and stand behind nothing that could set them."""
    for name, setters in _readers_of_sentences(layout, set(layout.annotating)):
        # A function says nothing of what it sets, and may set sentences.
        could_be_set = setters or not all(map(layout.says_what_it_sets, layout.before(name)))
        if "require" in _uses_of_sentences(layout, name) and not could_be_set:
            yield name


def _readers_of_sentences(layout: Layout, annotating: Set[str]) -> Iterator[Tuple[str, List[str]]]:
    """Components of training that go by sentence, and all before them that say that they set sentences."""
    for name in layout.names:
        is_updated = name not in layout.frozen and getattr(layout.components[name], "is_trainable", False)
        if _uses_of_sentences(layout, name) and (is_updated or name in annotating):
            yield name, [setter for setter in layout.before(name) if layout.sets_sentences(setter)]


def _uses_of_sentences(layout: Layout, name: str) -> List[str]:
    """How the pretrained networks of a component use sentences, of those that do."""
    model = layout.model(name)
    shims = [shim for node in model.walk() for shim in node.shims] if model is not None else []
    networks = [shim.network for shim in shims if isinstance(shim, PretrainedShim)]
    found = [getattr(getattr(network, "settings", None), "sentences", None) for network in networks]
    return [use for use in found if use in ("use", "require")]


def _with_sentencizer(layout: Layout, name: str) -> str:
    before: Sequence[str] = layout.before(name)
    pipeline = [*before, "sentencizer", *layout.names[len(before) :]]
    annotating = [each for each in pipeline if each in layout.annotating or each == "sentencizer"]
    parts = (
        config_lines("nlp", pipeline=pipeline),
        config_lines("components.sentencizer", factory="sentencizer"),
        config_lines("training", annotating_components=annotating),
    )
    return "\n\n".join(parts)
