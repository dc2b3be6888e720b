"""Subjects200K from parquet files: what is kept, which side is the target, what is missing."""

import io
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench.errors import UserError
from bench.methods import subjects200k
from bench.methods.corpora import CORPORA, load_corpus
from bench.methods.subjects200k import CHOICES, Subjects200K, whiteness
from bench.paths import datasets_folder

GOOD = {"compositeStructure": 5, "objectConsistency": 5, "imageQuality": 5}
STUDIO = "subjects200k-2"
WHITE, FOREST = (250, 250, 250), (20, 90, 30)


def composite(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    """Two tiles of 528 pixels, a red item in the middle of each."""
    image = Image.new("RGB", (1056, 528), left)
    image.paste(right, (528, 0, 1056, 528))
    for centre in (264, 792):
        image.paste((200, 0, 0), (centre - 50, 214, centre + 50, 314))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def row(item: str = "red mug", collection: str = "collection_2", **fields: Any) -> dict[str, Any]:
    description = {
        "item": item,
        "description_0": f"{item}, left",
        "description_1": f"{item}, right",
        "category": "Kitchenware",
        "description_valid": True,
    }
    description |= fields.pop("description", {})
    image = {"bytes": fields.pop("image", b""), "path": None}
    quality = fields.pop("quality", GOOD)
    return {
        "image": image,
        "collection": collection,
        "quality_assessment": quality,
        "description": description,
    }


@pytest.fixture
def shard(tmp_path: Path) -> Callable[..., Path]:
    """``shard(rows, name)``: a parquet file of two rows per group in the user's folder."""

    def write(rows: list[dict[str, Any]], name: str = "train-00000.parquet") -> Path:
        path = tmp_path / "data" / "subjects200k" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
        return path

    return write


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))


def test_each_pair_is_trained_on_both_ways_round(shard: Callable[..., Path]) -> None:
    """Even: left is the target; odd: right is. White or not plays no part."""
    rows = [
        row("red mug", image=composite(FOREST, WHITE)),
        row("red box", image=composite(WHITE, FOREST)),
    ]
    corpus = Subjects200K([shard(rows)])
    assert len(corpus) == 4
    assert [triplet.prompt for triplet in corpus] == [
        "red mug, left",
        "red mug, right",
        "red box, left",
        "red box, right",
    ]
    targets = [triplet.target.getpixel((0, 0)) for triplet in corpus]
    assert targets == [FOREST, WHITE, WHITE, FOREST]
    references = [triplet.reference.getpixel((0, 0)) for triplet in corpus]
    assert references == [WHITE, FOREST, FOREST, WHITE]
    assert [triplet.item for triplet in corpus] == ["red mug"] * 2 + ["red box"] * 2


def test_where_pairs_are_made_from_it_the_studio_side_is_the_reference_whichever_it_is(
    shard: Callable[..., Path],
) -> None:
    rows = [
        row("red mug", image=composite(FOREST, WHITE)),
        row("red box", image=composite(WHITE, FOREST)),
    ]
    mug, box = Subjects200K([shard(rows)], STUDIO)
    assert (mug.item, mug.prompt) == ("red mug", "red mug, left")
    assert (box.item, box.prompt) == ("red box", "red box, right")
    for triplet in (mug, box):
        assert triplet.reference.size == triplet.target.size == (512, 512)
        assert triplet.reference.getpixel((0, 0)) == WHITE
        assert triplet.target.getpixel((0, 0)) == FOREST


def test_the_crops_are_ominicontrols(shard: Callable[..., Path]) -> None:
    (triplet,) = Subjects200K([shard([row(image=composite(FOREST, WHITE))])], STUDIO)
    target_left = 214 - 8
    reference_left = 792 - 50 - 528
    assert triplet.target.getpixel((target_left, 250)) == (200, 0, 0)
    assert triplet.target.getpixel((target_left - 1, 250)) == FOREST
    assert triplet.reference.getpixel((reference_left, 250)) == (200, 0, 0)
    assert triplet.reference.getpixel((reference_left - 1, 250)) == WHITE


ROWS = [
    row("kept 1", "collection_1"),
    row("no quality", quality=None),
    row("poor", quality=GOOD | {"objectConsistency": 4}),
    row("no score", quality=GOOD | {"imageQuality": None}),
    row("invalid", description={"description_valid": False}),
    row(""),
    row("other", "collection_3"),
    row("kept 2"),
]


@pytest.mark.parametrize(
    ("name", "kept"),
    [("subjects200k", ["kept 1", "invalid", "", "kept 2"]), (STUDIO, ["kept 2"])],
)
def test_only_pairs_of_full_quality_are_kept_and_for_pairs_only_described_ones(
    shard: Callable[..., Path], name: str, kept: list[str]
) -> None:
    """OminiControl's filter asks for the quality alone; a generic prompt must name the item."""
    corpus = Subjects200K([shard(ROWS)], name)
    assert [description["item"] for _, _, description in corpus.pairs] == kept


def test_a_pair_without_descriptions_is_trained_on_without_a_prompt(
    shard: Callable[..., Path],
) -> None:
    rows = [row(image=composite(FOREST, WHITE)), row(image=composite(FOREST, WHITE))]
    rows[1]["description"] = None
    *_, left, right = Subjects200K([shard(rows)])
    assert (left.prompt, right.prompt, left.item) == ("", "", "")


def test_images_are_found_across_files_and_row_groups(shard: Callable[..., Path]) -> None:
    images = [composite(FOREST, (level, level, level)) for level in (250, 251, 252, 253)]
    second = shard([row("d", image=images[3])], "train-00001.parquet")
    first = shard([row(item, image=image) for item, image in zip("abc", images, strict=False)])
    corpus = Subjects200K([second, first], STUDIO)
    backgrounds = [triplet.reference.getpixel((0, 0)) for triplet in corpus]
    assert [triplet.item for triplet in corpus] == ["a", "b", "c", "d"]
    assert backgrounds == [(level,) * 3 for level in (250, 251, 252, 253)]


def test_sfo_takes_its_pairs_from_the_second_collection(shard: Callable[..., Path]) -> None:
    shard([row("first", "collection_1"), row("second", "collection_2")])
    both, second = load_corpus("subjects200k"), load_corpus("subjects200k-2")
    assert (len(both), len(second)) == (2 * 2, 1)
    assert both.identity != second.identity


def test_identity_follows_the_files(shard: Callable[..., Path]) -> None:
    path = shard([row("a")])
    before = Subjects200K([path]).identity
    assert Subjects200K([path]).identity == before
    more = shard([row("a")], "train-00001.parquet")
    assert Subjects200K([path, more]).identity != before


def test_missing_data_names_the_place_the_size_and_the_licence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"hf download Yuanshi/Subjects200K .*15\.9 GB, apache-2"):
        load_corpus("subjects200k")
    with pytest.raises(UserError, match=str(tmp_path / "data" / "subjects200k")):
        load_corpus("subjects200k")


def test_a_damaged_file_is_named(shard: Callable[..., Path]) -> None:
    path = shard([row("a")])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"train-00000\.parquet is damaged"):
        Subjects200K([path])


def test_a_foreign_file_is_named(shard: Callable[..., Path]) -> None:
    path = shard([{"image": None, "text": "a cat"}])
    with pytest.raises(UserError, match="has no column collection, description, quality"):
        Subjects200K([path])


def test_a_corpus_without_good_pairs_is_an_error(shard: Callable[..., Path]) -> None:
    path = shard([row(quality=None)])
    with pytest.raises(UserError, match="No pair of collection_1, collection_2"):
        Subjects200K([path])


def test_whiteness_looks_at_the_border_alone() -> None:
    image = Image.new("RGB", (8, 8), (255, 255, 255))
    image.paste((0, 0, 0), (1, 1, 7, 7))
    assert whiteness(image) == 1.0
    image.paste((0, 0, 0), (0, 0, 8, 1))
    assert whiteness(image) < 0.8


@pytest.fixture
def stated() -> dict[str, Any]:
    return tomllib.loads((datasets_folder() / "subjects200k/1/corpus.toml").read_text())


def test_what_is_read_is_what_is_stated_of_the_data_set(stated: dict[str, Any]) -> None:
    assert stated["hub_id"] == subjects200k.HUB_ID
    assert tuple(stated["collections"]) == subjects200k.COLLECTIONS
    assert stated["filter"]["least"] == subjects200k.LEAST
    assert tuple(stated["filter"]["ratings"]) == subjects200k.QUALITIES
    assert tuple(stated["crops"]["left"]) == subjects200k.LEFT
    assert tuple(stated["crops"]["right"]) == subjects200k.RIGHT


def test_the_good_pairs_are_those_that_the_official_filter_leaves(stated: dict[str, Any]) -> None:
    counts = stated["collections"].values()
    assert sum(count["pairs"] for count in counts) == 206_236
    assert sum(count["good"] for count in counts) == 119_967


def test_a_side_goes_with_the_description_that_is_stated(
    shard: Callable[..., Path], stated: dict[str, Any]
) -> None:
    rows = [row(image=composite(WHITE, FOREST))]
    targets = [rows[0]["description"][stated["direction"][side]] for side in ("left", "right")]
    assert [triplet.prompt for triplet in Subjects200K([shard(rows)])] == targets


def test_corpora_are_the_choices_that_are_stated(stated: dict[str, Any]) -> None:
    assert stated["corpora"] == {
        name: {**asdict(choice), "collections": list(choice.collections)}
        for name, choice in CHOICES.items()
    }
    assert set(CHOICES) < set(CORPORA)


@pytest.mark.parametrize("name", CHOICES)
def test_a_corpus_reads_the_collections_that_are_stated(
    shard: Callable[..., Path], stated: dict[str, Any], name: str
) -> None:
    shard([row(item=item, collection=item) for item in (*stated["collections"], "collection_3")])
    corpus = load_corpus(name)
    assert isinstance(corpus, Subjects200K)
    read = [description["item"] for *_, description in corpus.pairs]
    assert read == stated["corpora"][name]["collections"]
