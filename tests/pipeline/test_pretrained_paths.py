"""Every way weights reach a component, each before its first call, fine-tuned ones included."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest
import spacy
import torch
from pipeline.components import COMPONENTS, Component
from spacy.language import Language
from spacy.training import Example

from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "elmo"}
# A process where the packaged weights are unreachable. It prints what the pipelines find, by factory.
CODE = """
import json, pathlib, sys, spacy
import glomo_spacy.architectures.pretrained as pretrained
from pipeline.components import COMPONENTS
pretrained.PACKAGED = pathlib.Path("nowhere")
pipelines = json.loads(sys.argv[1])
print(json.dumps([COMPONENTS[factory].find(spacy.load(path)).tolist() for factory, path in pipelines]))
"""

Way = Callable[[Component, Language, Path], Language]


@pytest.fixture
def moved(source: str, tmp_path: Path) -> str:
    """A copy of the checkpoint that a test may remove."""
    return str(shutil.copytree(source, tmp_path / "moved"))


def through_disk(component: Component, nlp: Language, folder: Path) -> Language:
    nlp.to_disk(folder / "saved")
    return spacy.load(folder / "saved")


def through_bytes(component: Component, nlp: Language, folder: Path) -> Language:
    return spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())


def through_pickle(component: Component, nlp: Language, folder: Path) -> Language:
    return pickle.loads(pickle.dumps(nlp))


def through_deepcopy(component: Component, nlp: Language, folder: Path) -> Language:
    copied = component.build(None)
    copied.get_pipe(component.factory).model = copy.deepcopy(nlp.get_pipe(component.factory).model)
    return copied


def through_model_copy(component: Component, nlp: Language, folder: Path) -> Language:
    nlp.get_pipe(component.factory).model = nlp.get_pipe(component.factory).model.copy()
    return nlp


def through_initialize(component: Component, nlp: Language, folder: Path) -> Language:
    nlp.initialize()
    return nlp


def through_sourcing(component: Component, nlp: Language, folder: Path) -> Language:
    other = spacy.blank("en", vocab=nlp.vocab)
    other.add_pipe(component.factory, source=nlp)
    return other


def through_update(component: Component, nlp: Language, folder: Path) -> Language:
    """Another component is trained, which listens to this one if it can be listened to."""
    tok2vec = {"config": {"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}}}
    nlp.add_pipe("tagger", **(tok2vec if component.factory == "elmo" else {}))
    examples = [Example.from_dict(nlp.make_doc("a dog"), {"tags": ["X", "Y"]})]
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer, exclude=[component.factory], annotates=[component.factory])
    nlp.remove_pipe("tagger")
    return nlp


WAYS = (
    through_disk,
    through_bytes,
    through_pickle,
    through_deepcopy,
    through_model_copy,
    through_initialize,
    through_sourcing,
    through_update,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_weights_are_there_before_the_first_call(
    way: Way,
    component: Component,
    moved: str,
    expected: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "load", _refuse)
    nlp = component.build(moved)
    shutil.rmtree(moved)  # read when built: the source is never needed again
    np.testing.assert_array_equal(component.find(way(component, nlp, tmp_path)), expected)


def _refuse(*args: object, **kwargs: object) -> None:
    raise RuntimeError("torch.load unpickles")


def test_weights_of_a_replaced_listener_are_those_it_listened_to(elmo_checkpoint: str) -> None:
    elmo = COMPONENTS["elmo"]
    nlp, other = elmo.build(elmo_checkpoint), elmo.build(None)
    expected = elmo.find(nlp)
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}})
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    other.get_pipe("elmo").model = nlp.get_pipe("tagger").model.get_ref("tok2vec")
    np.testing.assert_array_equal(elmo.find(other), expected)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_fine_tuned_weights_take_every_way_too(way: Way, elmo_checkpoint: str, tmp_path: Path) -> None:
    elmo = COMPONENTS["elmo"]
    nlp = elmo.build(elmo_checkpoint, trainable=True)
    before = elmo.find(nlp)
    _train_once(nlp)
    tuned = elmo.find(nlp)
    assert np.abs(tuned - before).max() > 1e-4
    np.testing.assert_array_equal(elmo.find(way(elmo, nlp, tmp_path)), tuned)


def _train_once(nlp: Language) -> None:
    model = nlp.get_pipe("elmo").model
    rows, backprop = model.begin_update([nlp.make_doc("The small dog sees a big red cat.")])
    backprop([np.ones_like(row) for row in rows])
    model.finish_update(nlp.create_optimizer())


def test_saved_pipelines_need_neither_name_nor_path_in_another_process(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pipelines: Dict[Path, Component] = {}
    expected = []
    for component in COMPONENTS.values():
        moved = shutil.copytree(request.getfixturevalue(component.checkpoint_fixture), tmp_path / "moved")
        for place, pretrained in (("by_path", str(moved)), ("by_name", component.package)):
            nlp = component.build(pretrained)
            nlp.to_disk(path := tmp_path / f"{component.factory}_{place}")
            pipelines[path] = component
            expected.append(component.find(nlp))
        shutil.rmtree(moved)
    arguments = json.dumps([(component.factory, str(path)) for path, component in pipelines.items()])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", CODE, arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    for found, own in zip(json.loads(result.stdout), expected, strict=True):
        np.testing.assert_allclose(found, own, atol=1e-5)


def test_a_pipeline_is_stored_as_the_same_bytes_each_time(component: Component, source: str) -> None:
    assert len({component.build(source).to_bytes() for _ in range(3)}) == 1


def test_half_precision_weights_are_stored_as_half_precision(component: Component, source: str) -> None:
    stored = len(component.build(source).get_pipe(component.factory).to_bytes(exclude=["vocab"]))
    assert stored < 1.5 * sum(path.stat().st_size for path in Path(source).iterdir())


def test_full_precision_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    words = ["a", "dog", "<unk>"]
    model = GlomoModel(GlomoConfig(vocab_size=3, width=4, n_layers=1, n_heads=1, n_decoder_layers=1)).eval()
    save_checkpoint(tmp_path / "full", model, indexer={"kind": "words", "casing": "exact"}, vocab=words, meta={})
    nlp = pickle.loads(pickle.dumps(COMPONENTS["glomo_graph"].build(str(tmp_path / "full"))))
    stored = nlp.get_pipe("glomo_graph").model.shims[0].network
    assert stored.indexer.casing == "exact"
    for name, weights in model.state_dict().items():
        assert torch.equal(stored.network.state_dict()[name], weights)


def test_a_copy_is_independent_of_its_original(component: Component, source: str, expected: np.ndarray) -> None:
    nlp = component.build(source)
    copied = nlp.get_pipe(component.factory).model.copy()
    for layer in copied.walk():
        for shim in layer.shims:
            for parameter in shim.network.parameters():
                parameter.data.zero_()
    np.testing.assert_array_equal(component.find(nlp), expected)


@pytest.mark.parametrize("component", ["glomo_graph", "mogrifier_lm"], indirect=True)
def test_the_short_form_and_the_model_section_mean_the_same(
    component: Component, source: str, expected: np.ndarray
) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe(component.factory, config={"pretrained": source})
    np.testing.assert_array_equal(component.find(nlp), expected)


@pytest.mark.parametrize("component", ["glomo_graph", "mogrifier_lm"], indirect=True)
def test_excluding_the_model_leaves_it_out(component: Component, source: str, tmp_path: Path) -> None:
    pipe = component.build(source).get_pipe(component.factory)
    assert len(pipe.to_bytes(exclude=["model"])) < 10
    pipe.to_disk(tmp_path / "component", exclude=["model"])
    assert list((tmp_path / "component").iterdir()) == []
