"""A made-up paper on the mini world whose methods are anchors, so that nothing is trained."""

from pathlib import Path

PAPER = """
title = "A made-up paper"
source = "nowhere"

[metrics]
dino = { label = "DINO" }
clip_t = { label = "CLIP-T" }
fid = { label = "FID", better = "lower", digits = 1 }

[[tables]]
id = "table-1"
title = "Anchors"
suite = "mini"
metrics = ["dino", "clip_t", "fid"]
note = "made up"
rows = [
  { label = "Copy", values = [0.9, 0.1, 20], run = { method = "copy-reference" } },
  { label = "Noise", values = [0.1, "-", 300.5], run = { method = "noise" }, copied_from = "Hum" },
  { label = "Noise again", run = { method = "noise" } },
  { label = "Tomorrow", values = [0.5, 0.5, 50], run = { method = "of-tomorrow" } },
  { label = "Theirs", values = [0.4, 0.4, 60], note = "nobody has its weights" },
]
claims = [
  { id = "order", words = "copies win", metric = "dino", higher = "Copy", lower = "Noise" },
  { id = "upset", words = "noise wins", metric = "dino", higher = "Noise", lower = "Copy" },
  { id = "twice", words = "noise is noise", metric = "dino", equal = ["Noise again", "Noise"] },
  { id = "alike", words = "noise is a copy", metric = "dino", equal = ["Noise", "Copy"] },
  { id = "later", words = "all gets better", metric = "dino", higher = "Tomorrow", lower = "Copy" },
  { id = "fid", words = "copies look real", metric = "fid", higher = "Noise", lower = "Copy" },
]

[[tables]]
id = "table-2"
title = "A row that cannot be run"
suite = "mini"
metrics = ["dino"]
rows = [
  { label = "Noise", run = { method = "noise", set = { loudness = 11 } } },
  { label = "Copy", run = { method = "copy-reference" } },
]

[[tables]]
id = "table-3"
title = "What people said"
metrics = ["dino"]
rows = [{ label = "Them", values = [0.5] }]
"""


def write_paper(leaderboards: Path, text: str = PAPER) -> Path:
    """The paper ``made-up`` among the leaderboards."""
    path = leaderboards / "papers/made-up.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
