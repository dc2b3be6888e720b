"""Made-up official downloads in the layout of CustomConcept101's repository."""

import json
from pathlib import Path

from PIL import Image


def photograph(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(path)


def write_concepts(folder: Path) -> Path:
    """A checkout with 101 made-up concepts, two photographs and twenty prompts each."""
    root = folder / "custom-diffusion/customconcept101"
    (root / "prompts").mkdir(parents=True)
    (root / "prompts/thing.txt").write_text("".join(f"{{}} at {k}.  \n" for k in range(20)))
    names = [f"{'pet' if k < 11 else 'things'}_{k}" for k in range(101)]
    for k, name in enumerate(names):
        for file in ("b.jpg", "a.jpg"):
            photograph(root / "benchmark_dataset" / name / file, k)
    rows = [
        {
            "class_prompt": "thing",
            "instance_data_dir": f"./benchmark_dataset/{name}",
            "prompt_filename": "prompts/thing.txt",
        }
        for name in names
    ]
    (root / "dataset.json").write_text(json.dumps(rows))
    return root.parent


def write_pairs(checkout: Path) -> Path:
    """The same checkout with 101 made-up pairs, twelve prompts each."""
    root = checkout / "customconcept101"
    lines = ["the {1} on {0}. \n", "{1}, {{braced}}\n"] * 6
    (root / "prompts/thing_thing.txt").write_text("".join(lines))
    singles = json.loads((root / "dataset.json").read_text())
    composed = {"prompt_filename_compose": "prompts/thing_thing.txt"}
    rows = [
        [singles[k], {**singles[k - 50], "class_prompt": "odd {thing}"}, composed]
        for k in range(101)
    ]
    (root / "dataset_multiconcept.json").write_text(json.dumps(rows))
    return checkout
