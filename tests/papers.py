"""A made-up paper on the mini world whose methods are anchors, so that nothing is trained."""

from pathlib import Path

PAPER = """
title = "A made-up paper"
source = "nowhere"

[metrics]
dino = { label = "DINO" }
clip_t = { label = "CLIP-T" }
fid = { label = "FID", better = "lower", digits = 1 }

[guided]
sd15 = { cfg = { scale = 7.5 }, pg = { scale = 7.5 } }
mini = { cfg = { scale = 3.0 }, pg = { scale = 3.0 } }

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

[[tables]]
id = "table-4"
title = "A sweep"
suite = "mini"
metrics = ["dino", "clip_t"]
digits = { dino = 2 }
rows = [
  { label = "l=1.0", values = [0.50, 0.300], run = { method = "copy-reference" } },
  { label = "l=2.0", values = [0.6125, 0.200], run = { method = "noise" } },
  { label = "theirs", values = [0.9, "-"] },
  { label = "s=9.0", published = false, run = { method = "wrong-subject" } },
]
curve = { x = "clip_t", y = "dino", lines = [
  { label = "by l", rows = ["l=1.0", "l=2.0"] },
  { label = "by s", rows = ["l=2.0", "s=9.0"] },
] }
claims = [
  { id = "sweep", words = "more is better", metric = "dino", higher = "l=2.0", lower = "l=1.0" },
]

[[tables]]
id = "table-5"
title = "Guidance"
suite = "mini"
metrics = ["dino"]
rows = [
  { label = "open", run = { method = "text-only", backbone = "sd15", guidance = "pg:omega=0.6" } },
  { label = "told", run = { method = "text-only", backbone = "sd15", guidance = "cfg:scale=2.0" } },
  { label = "one", run = { method = "text-only", guidance = "cfg:2.0" } },
  { label = "none", run = { method = "text-only", backbone = "sd15", guidance = "none" } },
  { label = "its own", run = { method = "text-only" } },
]
"""


def write_paper(leaderboards: Path, text: str = PAPER) -> Path:
    """The paper ``made-up`` among the leaderboards."""
    path = leaderboards / "papers/made-up.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
