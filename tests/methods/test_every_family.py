"""What is trained per subject runs on the real classes of every family, and under guidance."""

from pathlib import Path

import pytest

from bench import registry
from bench.api import Workspace
from bench.errors import UserError
from tests.methods.tiny_subjects import CAR, MUG, trained
from tests.methods.tiny_text_backbones import SIDE, save

FEW = {"iterations": 2, "steps": 1, "rank": 2, "class_images": 1, "batch": 1, "lr": 1e-2}
FAMILIES = ["sd15", "sd21", "sdxl-turbo", "sana"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    save(made)
    return made


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["dreambooth", "dreambooth-ti", "textual-inversion"])
def test_two_subjects_are_trained_and_drawn(
    name: str, family: str, home: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    made = _made(name, family)
    mug = trained(made, MUG, workspace)
    assert mug != trained(made, CAR, workspace)
    assert trained(made, MUG, workspace) == mug, "loaded again"


@pytest.mark.parametrize("family", FAMILIES)
def test_classdiffusion_is_for_those_that_pool_their_prompts(
    family: str, home: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    if family == "sana":
        with pytest.raises(UserError, match="sana makes no pooled embedding"):
            _made("classdiffusion", family)
        return
    made = _made("classdiffusion", family)
    assert trained(made, MUG, workspace) != trained(made, CAR, workspace)


def _made(name: str, family: str) -> object:
    method = registry.load("method", name)
    few = {key: value for key, value in FEW.items() if key in method.Options.model_fields}
    backbone = registry.load("backbone", family)(resolution=SIDE)
    return method(backbone, method.Options(**few, rule="pg:scale=3,omega=0.5"))
