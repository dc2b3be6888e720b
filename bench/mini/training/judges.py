"""Training of the mini world's encoders: the judges of identity (mini-dino), scene (mini-clip)."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.api import Progress, silent
from bench.methods.loop import Recipe, Training
from bench.metrics.mini_networks import build_clip, build_vit, clip_tokens
from bench.mini.grammar import CLASSES, sample_scene
from bench.mini.training.data import Corpus, cached_corpus
from bench.mini.training.log import logger
from bench.mini.world import (
    Identity,
    render_reference,
    render_scene,
    sample_identity,
    sample_pose,
)
from bench.mini.world import generator as world_generator

Net = TypeVar("Net", bound=nn.Module)
BATCH = 128
TEMPERATURE = 0.1
ATTRIBUTES = ("pattern", "emblem", "emblem_colour", "second", "body")
FINE = ("pattern", "emblem")
"""What twins differ in: strangers differ in colours already."""
SUBJECTS, TWINS = 12_000, 4000
WIDE = 1.0
STEPS = {"strangers": 800, "twins": 900, "clip": 500}


def to_input(images: NDArray[np.uint8]) -> Tensor:
    """uint8 (B, H, W, 3) to (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def full_prompts(corpus: Corpus) -> NDArray[np.str_]:
    """(S, K) prompts with the class filled in."""
    return np.array(
        [
            [prompt.format(kind) for prompt in prompts]
            for prompts, kind in zip(corpus.prompts, corpus.kinds, strict=True)
        ]
    )


def recolours(corpus: Corpus) -> NDArray[np.str_]:
    """(S, K) colours that the prompts put on the subjects; empty where they keep their own."""
    words = [[prompt.split()[1] for prompt in prompts] for prompts in corpus.prompts]
    return np.array([[word.replace("{}", "") for word in row] for row in words])


def train_corpus(cache: Path) -> Corpus:
    """Poses twice as far as the world's: a judge must not be thrown by an odd one."""
    return cached_corpus(cache, 0, "train", SUBJECTS, 4, difficulty=WIDE)


def validation_corpus(cache: Path) -> Corpus:
    return cached_corpus(cache, 0, "validation", 96, 4)


def fit(
    model: nn.Module,
    loss: Callable[[torch.Generator], Tensor],
    steps: int,
    folder: Path,
    progress: Progress,
) -> dict[str, Tensor]:
    """Minimise a loss of random batches; returns the averaged weights."""
    recipe = Recipe(
        steps,
        lr=1.5e-3,
        betas=(0.9, 0.95),
        warmup=100,
        decay=0.6,
        ema=0.99,
        save_every=100,
        log_every=50,
    )
    training = Training(dict(model.named_parameters()), recipe, folder, seed=0)
    return training.run(
        lambda step, generator: (loss(generator), {}), logger(folder), progress, folder.name
    )


# mini-dino


def train_dino(
    folder: Path, cache: Path, steps: int | None = None, progress: Progress = silent
) -> dict[str, Tensor]:
    """Supervised contrast over identities: first strangers of two classes, then twins.

    Colours alone tell strangers apart; a twin differs from its subject in one attribute, so that
    pattern and emblem have to be seen as well. ``steps``: of each stage.
    """
    corpus, twins = train_corpus(cache), cached_twins(cache)
    # A changed colour is no evidence of identity: those scenes would teach to ignore the body.
    usable = np.concatenate(
        [np.ones((len(corpus.kinds), 1), bool), recolours(corpus) == ""], axis=1
    )
    views = np.concatenate([corpus.references[:, None], corpus.targets], axis=1)
    torch.manual_seed(0)
    model = build_vit()

    def strangers(generator: torch.Generator) -> Tensor:
        subjects = _of_two_classes(usable, BATCH // 2, generator)
        return _contrast_of(model, views[subjects[:, None], _pairs(usable[subjects], generator)])

    def siblings(generator: torch.Generator) -> Tensor:
        subjects = _of_two_classes(usable[: len(twins)], BATCH // 4, generator)
        own = views[subjects[:, None], _pairs(usable[subjects], generator)]
        every = np.ones((len(subjects), twins.shape[1]), bool)
        others = twins[subjects[:, None], _pairs(every, generator)]
        return _contrast_of(model, np.concatenate([own, others]))

    coarse, fine = (steps or STEPS[stage] for stage in ("strangers", "twins"))
    model.load_state_dict(fit(model, strangers, coarse, folder / "strangers", progress))
    return fit(model, siblings, fine, folder / "twins", progress)


def _of_two_classes(
    usable: NDArray[np.bool_], n: int, generator: torch.Generator
) -> NDArray[np.int64]:
    """Subjects of two classes, so that class is no help; each has two usable views."""
    classes = len(CLASSES)
    chosen = torch.randperm(classes, generator=generator)[:2].numpy()
    enough = usable.sum(axis=1) > 1
    pool = np.flatnonzero(np.isin(np.arange(len(usable)) % classes, chosen) & enough)
    subjects: NDArray[np.int64] = pool[torch.randperm(len(pool), generator=generator)[:n].numpy()]
    return subjects


def _pairs(usable: NDArray[np.bool_], generator: torch.Generator) -> NDArray[np.int64]:
    """Two different usable columns per row, (B, 2)."""
    weights = torch.from_numpy(usable).float()
    columns: NDArray[np.int64] = torch.multinomial(weights, 2, generator=generator).numpy()
    return columns


def _contrast_of(model: nn.Module, pairs: NDArray[np.uint8]) -> Tensor:
    images = to_input(pairs.reshape(-1, *pairs.shape[2:]))
    return contrast(F.normalize(model(images), dim=-1))


def twin(index: int) -> Identity:
    """Training subject ``index`` with one attribute of another one."""
    own = sample_identity(0, "train", index)
    field = FINE[index // len(CLASSES) % len(FINE)]
    donors = (sample_identity(0, "train", index + step) for step in count(1))
    value = next(v for v in (getattr(donor, field) for donor in donors) if v != getattr(own, field))
    return replace(own, **{field: value})


def cached_twins(cache: Path) -> NDArray[np.uint8]:
    """A reference and two scenes of the first training subjects' twins, (S, 3, 32, 32, 3)."""
    path = cache / f"twins-{TWINS}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([_views(twin(index), index) for index in range(TWINS)]))
    views: NDArray[np.uint8] = np.load(path)
    return views


def _views(identity: Identity, index: int) -> NDArray[np.uint8]:
    views = [render_reference(identity)]
    for k in range(2):
        rng = world_generator(0, 5, index, k)
        scene = replace(sample_scene(rng), recolour=None)
        views.append(render_scene(identity, scene, sample_pose(rng, scene, WIDE)))
    return np.stack(views)


def contrast(embedded: Tensor) -> Tensor:
    """NT-Xent over (2N, D) unit rows in which neighbours 2i and 2i + 1 belong together."""
    logits = embedded @ embedded.T / TEMPERATURE
    logits = logits.masked_fill(torch.eye(len(embedded), dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(embedded)) ^ 1)


@torch.inference_mode()
def evaluate_dino(weights: dict[str, Tensor], cache: Path) -> dict[str, float]:
    """Scenes against references of validation subjects, and what one changed attribute costs."""
    model = loaded(build_vit(), weights)
    corpus = validation_corpus(cache)
    references = F.normalize(model(to_input(corpus.references)), dim=-1)
    scenes = F.normalize(model(to_input(corpus.targets.reshape(-1, 32, 32, 3))), dim=-1)
    similarity = (scenes @ references.T).view(*corpus.targets.shape[:2], -1)
    own = similarity.diagonal(dim1=0, dim2=2).T
    same_class = torch.from_numpy(np.equal.outer(corpus.kinds, corpus.kinds))
    same_class.fill_diagonal_(False)
    kept = torch.from_numpy(recolours(corpus) == "")
    hit = similarity.argmax(dim=2) == torch.arange(len(references))[:, None]
    return {
        "retrieval@1": hit[kept].float().mean().item(),
        "retrieval@1_recoloured": hit[~kept].float().mean().item(),
        "same_subject": own[kept].mean().item(),
        "same_subject_recoloured": own[~kept].mean().item(),
        "same_class": similarity.transpose(1, 2)[same_class].mean().item(),
        "other_subject": similarity.mean().item(),
        **_sensitivity(model, references),
    }


def _sensitivity(model: nn.Module, references: Tensor) -> dict[str, float]:
    """Mean similarity of a reference to itself with one attribute taken from another subject."""
    own = [sample_identity(0, "validation", i) for i in range(len(references))]
    other = own[7:] + own[:7]
    found = {}
    for field in ATTRIBUTES:
        changed = [
            (i, replace(one, **{field: getattr(two, field)}))
            for i, (one, two) in enumerate(zip(own, other, strict=True))
            if getattr(one, field) != getattr(two, field)
        ]
        images = np.stack([render_reference(identity) for _, identity in changed])
        embedded = F.normalize(model(to_input(images)), dim=-1)
        similar = (embedded * references[[i for i, _ in changed]]).sum(dim=-1)
        found[f"other_{field}"] = similar.mean().item()
    return found


# mini-clip


def train_clip(
    folder: Path, cache: Path, steps: int | None = None, progress: Progress = silent
) -> dict[str, Tensor]:
    """Images against full prompts; equal prompts in a batch are no negatives of one another."""
    corpus = train_corpus(cache)
    prompts = full_prompts(corpus)
    torch.manual_seed(0)
    model = build_clip()

    def loss(generator: torch.Generator) -> Tensor:
        s = torch.randint(prompts.shape[0], (BATCH,), generator=generator).numpy()
        k = torch.randint(prompts.shape[1], (BATCH,), generator=generator).numpy()
        ids = clip_tokens(prompts[s, k].tolist())
        images = model.encode_image(to_input(corpus.targets[s, k]), normalize=True)
        texts = model.encode_text(ids, normalize=True)
        logits = model.logit_scale.exp().clamp(max=100) * images @ texts.T
        same = (ids[:, None] == ids[None]).all(dim=-1) & ~torch.eye(BATCH, dtype=torch.bool)
        logits = logits.masked_fill(same, -torch.inf)
        truth = torch.arange(BATCH)
        return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2

    return fit(model, loss, steps or STEPS["clip"], folder, progress)


@torch.inference_mode()
def evaluate_clip(weights: dict[str, Tensor], cache: Path) -> dict[str, float]:
    """Which of up to 256 distinct prompts belongs to a validation image."""
    model = loaded(build_clip(), weights)
    corpus = validation_corpus(cache)
    prompts, first = np.unique(full_prompts(corpus), return_index=True)
    chosen = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(0))[:256].numpy()
    images = corpus.targets.reshape(-1, 32, 32, 3)[first[chosen]]
    embedded = model.encode_image(to_input(images), normalize=True)
    texts = model.encode_text(clip_tokens(prompts[chosen].tolist()), normalize=True)
    similarity = embedded @ texts.T
    own, n = similarity.diagonal(), len(chosen)
    return {
        "n": float(n),
        "r@1": (similarity.argmax(dim=1) == torch.arange(n)).float().mean().item(),
        "own_prompt": own.mean().item(),
        "other_prompt": ((similarity.sum() - own.sum()) / (n * (n - 1))).item(),
    }


def loaded(model: Net, weights: dict[str, Tensor]) -> Net:
    """The model with these weights, ready to judge."""
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval()
