"""One subject's training by RPO: its samples, their labels, its adapter, and which step is kept.

All of it lies in the subject's own folder, and a killed training goes on from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from bench.api import Workspace
from bench.errors import UserError
from bench.identity import seed_of
from bench.methods.backbones.backbone import OFF
from bench.methods.loop import Recipe, Training
from bench.methods.objectives import Timesteps
from bench.methods.rpo_objective import chance
from bench.methods.rpo_options import RpoOptions
from bench.methods.rpo_pairs import Pair, Pairs, judged
from bench.methods.rpo_prompts import named
from bench.methods.rpo_reward import Reward
from bench.methods.rpo_selection import Selection
from bench.methods.text_to_image import TextToImage
from bench.store import ImageStore, write_atomically


@dataclass(frozen=True)
class Sitter:
    """The subject: its directory, what prompts call it, its photographs and their reward."""

    directory: str
    name: str
    photographs: Sequence[Image]
    reward: Reward


class SubjectTraining:
    """From photographs to an adapter. ``templates``: the scenes with ``{}`` for the name."""

    def __init__(
        self,
        model: TextToImage,
        adapter: str,
        options: RpoOptions,
        templates: Sequence[str],
        sitter: Sitter,
        workspace: Workspace,
    ) -> None:
        self.model, self.adapter, self.options = model, adapter, options
        self.templates, self.sitter, self.workspace = templates, sitter, workspace
        self.folder, self.weights = workspace.folder / adapter, {adapter: 1.0}
        self.called = named(options.token, sitter.name)
        best = self.folder / "best.safetensors"
        self.selection = Selection(
            self.folder / "validations.json",
            self.validate,
            lambda: model.backbone.save_adapter(adapter, best),
        )
        self.best = best

    def run(self, path: Path) -> None:
        """Train or resume; the adapter of the best validation goes to ``path``.

        UserError for a training that came to no number.
        """
        pairs, options, backbone = self.pairs(), self.options, self.model.backbone
        backbone.add_adapter(self.adapter, options.rank, options.seed, "image", options.precision)
        parameters = backbone.adapter_parameters(self.adapter)
        training = Training(parameters, self.recipe, self.folder, options.seed)
        if training.step:
            self.offer(training.step)  # a kill may have come between saving and validating
        self._fit(training, pairs)
        if self.selection.best is None:
            raise UserError(
                f"The training of {self.sitter.directory} came to no number; remove {self.folder} "
                "and give a smaller option 'lr'."
            )
        write_atomically(path, self.best.read_bytes())

    def pairs(self) -> Pairs:
        """Every generated image beside a photograph, the photographs taking turns."""
        options, sitter = self.options, self.sitter
        prompts = self._scenes(self.called, options.images)
        generated = self._generated()
        shown = [sitter.photographs[k % len(sitter.photographs)] for k in range(len(prompts))]
        chances = chance(
            sitter.reward(shown, prompts, options.lambda_train),
            sitter.reward(generated, prompts, options.lambda_train),
        )
        mean = float(chances.mean())
        self.workspace.log({"event": "labels", "n": len(prompts), "photographs": mean})
        instance = options.instance.format(self.called)
        made = [
            Pair(photograph, image, instance, prompt, float(odds))
            for photograph, image, prompt, odds in zip(
                shown, generated, prompts, chances, strict=True
            )
        ]
        return Pairs(self.model.backbone, made, options.seed)

    def validate(self) -> float:
        """The mean reward of the scenes under the adapter as it is; texts are without the token."""
        options = self.options
        prompts = self._scenes(self.called, options.validation_images)
        seeds = [self._seed("validation", number) for number in range(len(prompts))]
        images = self.model.draw(prompts, seeds, self.weights)
        plain = self._scenes(self.sitter.name, options.validation_images)
        return float(self.sitter.reward(images, plain, options.lambda_val).mean())

    def offer(self, step: int) -> None:
        """Look at a step where one is due, and once only."""
        due = step % self.options.validate_every == 0 or step == self.options.iterations
        if due and step not in self.selection.worths:
            self.selection.offer(step)
            worth = self.selection.worths[step]
            self.workspace.log({"event": "validation", "step": step, "reward": worth})

    @property
    def recipe(self) -> Recipe:
        """Checkpoints lie where validations do."""
        options = self.options
        return Recipe(
            steps=options.iterations,
            lr=options.lr,
            weight_decay=options.weight_decay,
            clip=1.0,
            save_every=options.validate_every,
        )

    def _fit(self, training: Training, pairs: Pairs) -> None:
        options, backbone = self.options, self.model.backbone
        timesteps = Timesteps(options.timesteps)

        def loss_of(index: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
            batch = pairs.batch(index, options.batch)
            found = judged(backbone, batch, self.weights, timesteps, options.beta, generator)
            return found.total, {"fidelity": found.fidelity, "preference": found.preference}

        def progress(title: str, done: int, total: int) -> None:
            self.offer(done)
            self.workspace.progress(title, done, total)

        training.run(loss_of, self.workspace.log, progress, f"train {self.adapter}")

    def _generated(self) -> list[Image]:
        """What the backbone itself makes of the scenes: drawn once, scene by scene, and kept."""
        store, count = ImageStore(self.workspace.folder / "generated"), self.options.images
        kept: list[Image] = []
        for scene, prompt in enumerate(self._scenes(self.called, 1)):
            numbers = range(scene * count, (scene + 1) * count)
            files = [f"{number:03d}.png" for number in numbers]
            if not store.has_all(files):
                seeds = [self._seed("generated", number) for number in numbers]
                drawn = self.model.draw([prompt] * count, seeds, OFF)
                store.put_all(dict(zip(files, drawn, strict=True)))
            kept += [store.open(file) for file in files]
            self.workspace.progress("scenes", scene + 1, len(self.templates))
        return kept

    def _scenes(self, name: str, times: int) -> list[str]:
        """Every scene with the subject called so, as many times one after another."""
        return [template.format(name) for template in self.templates for _ in range(times)]

    def _seed(self, what: str, number: int) -> int:
        return seed_of(self.options.seed, what, self.sitter.directory, number)
