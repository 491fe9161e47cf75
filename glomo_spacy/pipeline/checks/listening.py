"""Does each component read the vectors it was meant to read, and are they as wide as it believes?

What spaCy 3.8 does by itself: two encoders overwrite each other's `doc.tensor`, so that a listener is trained on one
encoder's vectors and then reads the other's, silently if they are of one width; a listener whose upstream does not
exist reads whatever stands in `doc.tensor`, or zeros; a wrong width is a failed matrix product at the first step.
"""

from typing import Iterator, List, Optional

from spacy.pipeline.tok2vec import Tok2VecListener
from thinc.api import Model

from ...architectures.elmo_network import ElmoNetwork
from ...architectures.pretrained import PretrainedShim
from ...errors import Errors, Warnings
from .finding import Finding, config_lines
from .layout import Layout


def check_listening(layout: Layout) -> Iterator[Finding]:
    """Listeners without their encoder, behind another one, or of another width.

    YIELDS (Finding): G188, G189 and G194, all errors.
    """
    for name in layout.names:
        for listener in layout.listeners(name):
            upstream = layout.upstream(listener, name)
            if upstream is None:
                yield _nobody_upstream(layout, name, listener)
                continue
            writer = [earlier for earlier in layout.before(name) if layout.writes_vectors(earlier)][-1]
            if writer != upstream:
                yield _overwritten(layout, name, upstream, writer)
            width = layout.components[upstream].model.maybe_get_dim("nO")
            if width and width != listener.get_dim("nO"):
                yield _other_width(layout, name, upstream, listener, width)


def check_unheard(layout: Layout) -> Iterator[Finding]:
    """Encoders that nothing listens to although a model of its own is trained behind them.

    YIELDS (Finding): G170, a warning.
    """
    heard = {upstream for name in layout.names for upstream in layout.upstreams(name)}
    for encoder in filter(layout.is_encoder, layout.names):
        behind = [name for name in layout.names if encoder in layout.before(name) and _could_listen(layout, name)]
        if encoder in heard or not behind:
            continue
        listener = {"@architectures": "spacy.Tok2VecListener.v1", "upstream": encoder}
        width = layout.components[encoder].model.maybe_get_dim("nO")
        lines = config_lines(f"components.{behind[0]}.model.tok2vec", **listener, **({"width": width} if width else {}))
        message = Warnings.G170.format(encoder=encoder, component=behind[0], lines=lines)
        yield Finding(message, is_error=False)


def _could_listen(layout: Layout, name: str) -> bool:
    """Whether a component learns on a tok2vec of its own; a reader of questions must have one."""
    sections = dict(layout.sections(name))
    has_own = "@architectures" in sections.get(f"components.{name}.model.tok2vec", {}) and not layout.listeners(name)
    is_reader = sections[f"components.{name}"].get("factory") == "extractive_qa"
    return has_own and not is_reader and name not in layout.frozen and not layout.is_encoder(name)


def _nobody_upstream(layout: Layout, name: str, listener: Tok2VecListener) -> Finding:
    encoders = [earlier for earlier in layout.before(name) if layout.is_encoder(earlier)]
    if listener.upstream_name in layout.names and layout.is_encoder(listener.upstream_name):
        lines = config_lines("nlp", pipeline=_moved(layout.names, name, behind=listener.upstream_name))
    elif encoders:
        lines = config_lines(_listener_section(layout, name, listener) or f"components.{name}…", upstream=encoders[-1])
    else:
        encoder = "tok2vec" if listener.upstream_name == "*" else listener.upstream_name
        names = [encoder, *(other for other in layout.names if other != encoder)]
        parts = config_lines("nlp", pipeline=names), config_lines(f"components.{encoder}", factory="tok2vec")
        lines = "\n\n".join(parts)
    message = Errors.G189.format(component=name, upstream=listener.upstream_name, encoders=encoders, lines=lines)
    return Finding(message)


def _overwritten(layout: Layout, name: str, upstream: str, writer: str) -> Finding:
    lines = config_lines("nlp", pipeline=_moved(layout.names, name, behind=upstream))
    return Finding(Errors.G188.format(component=name, upstream=upstream, writer=writer, lines=lines))


def _other_width(layout: Layout, name: str, upstream: str, listener: Tok2VecListener, width: int) -> Finding:
    section = _listener_section(layout, name, listener) or f"components.{name}…"
    expected, lines = listener.get_dim("nO"), config_lines(section, width=width)
    message = Errors.G194.format(component=name, upstream=upstream, found=width, expected=expected, lines=lines)
    return Finding(message)


def _listener_section(layout: Layout, name: str, listener: Tok2VecListener) -> Optional[str]:
    """Where a listener stands in the config; None in a pipeline that was changed in Python."""
    described = (listener.upstream_name, listener.get_dim("nO"))
    for path, section in layout.sections(name):
        is_listener = "Listener" in str(section.get("@architectures"))
        if is_listener and (section.get("upstream", "*"), section.get("width")) == described:
            return path
    return None


def _moved(names: List[str], name: str, *, behind: str) -> List[str]:
    """The pipeline with one component directly behind another."""
    others = [other for other in names if other != name]
    place = others.index(behind) + 1
    return [*others[:place], name, *others[place:]]


# --- Layers -----------------------------------------------------------------------------------------------------------


def check_layers(layout: Layout) -> Iterator[Finding]:
    """Mixtures that cut a biLM's rows into another number of layers than it has, which mixes parts of layers.

    YIELDS (Finding): G199, an error.
    """
    for name in layout.names:
        model = layout.model(name)
        for mix in model.walk() if model is not None else ():
            if mix.name != "scalar_mix":
                continue
            found, expected = _layers_below(layout, name, mix), mix.attrs["n_layers"]
            if found not in (None, expected):
                yield Finding(Errors.G199.format(name=name, found=found, expected=expected))


def _layers_below(layout: Layout, name: str, mix: Model) -> Optional[int]:
    """The layers that stand side by side in what a mixture reads; None if it does not read a biLM directly."""
    below = mix.layers[0]
    upstream = layout.upstream(below, name) if isinstance(below, Tok2VecListener) else None
    source = below if upstream is None else layout.components[upstream].model
    networks = [shim.network for shim in source.shims if isinstance(shim, PretrainedShim)]
    if not networks or not isinstance(networks[0], ElmoNetwork) or not networks[0].has_weights:
        return None
    return networks[0].n_layers if networks[0].settings.layers == "all" else 1
