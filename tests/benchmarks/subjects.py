"""What changing subjects costs beside training and drawing them.

By hand: ``python -m tests.benchmarks.subjects``. Subjects of the mini world, one after another, as
a run trains and draws them: how much of the time goes into putting a fresh adapter on the network,
saving it, taking it away and loading what was saved.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from bench.api import Workspace
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import load
from bench.methods.dreambooth import DreamBooth
from tests.benchmarks.scoring import say
from tests.benchmarks.turns import say_where
from tests.methods.tiny_subjects import material, question

AIM = 0.02
SETTING_UP = ("add_adapter", "remove_adapter", "save_adapter", "load_adapter")
PROMPTS = 6
"""Images of a subject, as many as the mini world asks for."""


class Clock:
    """Seconds of processors by what they were spent on."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys((*SETTING_UP, "all"), 0.0)

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                self.spent[name] += time.process_time() - began

        return run

    @property
    def share(self) -> float:
        """Of setting up in all."""
        return sum(self.spent[name] for name in SETTING_UP) / self.spent["all"]


def measure(subjects: int, options: dict[str, Any], folder: Path) -> Clock:
    """The time of subjects that are each trained and drawn, class images made ready before."""
    method = DreamBooth(load(), DreamBooth.Options(**{**DreamBooth.overrides["mini"], **options}))
    workspace = Workspace(folder / "run", folder / "cache", lambda event: None)
    _one(method, "first", replace(workspace, folder=folder / "first"))
    clock = Clock()
    patched: dict[str, Any] = {
        name: clock.timed(name, getattr(FluxBackbone, name)) for name in SETTING_UP
    }
    with mock.patch.multiple(FluxBackbone, **patched):
        every = clock.timed("all", _one)
        for number in range(subjects):
            own = replace(workspace, folder=workspace.folder / f"{number:02d}")
            every(method, f"mug-{number:02d}", own)
    return clock


def _one(method: DreamBooth, directory: str, workspace: Workspace) -> None:
    subject = material(directory)
    method.train_subject(subject, workspace)
    method.generate([question(subject)] * PROMPTS)


def main() -> None:
    """Print the share and what it is made of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="two subjects of a step each")
    parser.add_argument("--subjects", type=int, default=30)
    asked = parser.parse_args()
    few: dict[str, Any] = {"iterations": 1, "steps": 1, "class_images": 1} if asked.tiny else {}
    with tempfile.TemporaryDirectory() as folder:
        clock = measure(2 if asked.tiny else asked.subjects, few, Path(folder))
    say_where()
    for name, seconds in clock.spent.items():
        say(name, f"{seconds:.2f} s of processor time")
    say("share of setting up", f"{clock.share:.2%} (aim: below {AIM:.0%})")


if __name__ == "__main__":
    main()
