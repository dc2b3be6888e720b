"""SFO: its options reach the pairs; end to end on FLUX with Subjects200K."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench.api import Question
from bench.errors import UserError
from bench.identity import file_digest
from bench.methods.backbones import flux_dev
from bench.methods.pairs import Cdns
from bench.methods.sfo import Sfo, SfoOptions
from tests.methods.tiny_trainings import TINY, Events, fresh, losses


def source(**options: Any) -> Cdns:
    return Sfo(fresh(), SfoOptions(**options)).source()


def test_the_papers_degradations_are_the_defaults() -> None:
    assert source() == Cdns(image="blur", radius=5.0, text="generic", generic="a photo of {item}")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"blur": 20.0}, Cdns(radius=20.0)),
        ({"image": "noise", "image_noise": 0.2}, Cdns(image="noise", deviation=0.2)),
        ({"image": "semantic"}, Cdns(image="semantic")),
        ({"image": "none"}, Cdns(image="none")),
        ({"text": "none"}, Cdns(text="none")),
        ({"text": "hallucinated"}, Cdns(text="hallucinated")),
        ({"generic": "{item}"}, Cdns(generic="{item}")),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_every_degradation_of_table_5_is_an_option(options: dict[str, Any], expected: Cdns) -> None:
    assert source(**options) == expected


def test_a_file_of_captions_is_part_of_a_runs_identity(tmp_path: Path) -> None:
    captions = tmp_path / "captions.jsonl"
    captions.write_text('{"index": 0, "caption": "a blue mug"}\n')
    method = Sfo(fresh(), SfoOptions(text="hallucinated", captions=captions))
    assert method.inputs["captions"] == file_digest(captions)
    assert method.source().captions == captions
    assert "captions" not in Sfo(fresh(), SfoOptions()).inputs


def test_missing_captions_are_one_clear_sentence_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"no captions at .*none\.jsonl; check the path"):
        Sfo(fresh(), SfoOptions(captions=tmp_path / "none.jsonl"))


def test_the_negatives_are_drawn_from_hallucinated_prompts_where_asked(
    events: Events, tmp_path: Path
) -> None:
    workspace, log = events
    options = {**TINY, "steps": 1, "iterations": 1, "text": "hallucinated", "image": "none"}
    method = Sfo(fresh(), SfoOptions(**options))
    captions = tmp_path / "captions.jsonl"
    entries = [{"index": i, "caption": f"a wrong caption {i}"} for i in method.indices(3)]
    captions.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    Sfo(fresh(), SfoOptions(**options, captions=captions)).train(workspace)
    (folder,) = (event["folder"] for event in log if event["event"] == "pairs")
    manifest = json.loads((workspace.cache / "pairs" / folder / "manifest.json").read_text())
    drawn_from = {item["index"]: item["drawn_from"] for item in manifest["items"]}
    assert drawn_from == {entry["index"]: entry["caption"] for entry in entries}


def test_sfo_runs_on_flux_dev_with_subjects200k(
    flux_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    events: Events,
    question: Question,
) -> None:
    (tmp_path / "weights").symlink_to(flux_home / "weights")
    write_subjects(tmp_path / "data" / "subjects200k" / "train-00000.parquet")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    workspace, log = events
    backbone = flux_dev.load(resolution=16, max_text=16)
    method = Sfo(backbone, SfoOptions(**{**TINY, **Sfo.overrides["flux-dev"]}))
    method.train(workspace)
    assert losses(log, "sfo")[0] == pytest.approx(math.log(2), abs=1e-6)
    (image,) = method.generate([question])
    assert image.size == (16, 16)


def write_subjects(path: Path) -> None:
    """Four good pairs of the second collection."""
    rows = []
    for level in (40, 90, 140, 190):
        image = Image.new("RGB", (1056, 528), (level, 80, 20))
        image.paste((255, 255, 255), (528, 0, 1056, 528))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        description = {
            "item": f"mug {level}",
            "description_0": "this item in a forest",
            "description_1": "this item in a studio",
            "description_valid": True,
        }
        quality = {"compositeStructure": 5, "objectConsistency": 5, "imageQuality": 5}
        rows.append(
            {
                "image": {"bytes": buffer.getvalue(), "path": None},
                "collection": "collection_2",
                "quality_assessment": quality,
                "description": description,
            }
        )
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
