"""Suites that are read from their official download are fetched from there, file by file."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import downloads
from bench.downloads import add, fetch, held, terms
from bench.errors import UserError
from bench.paths import home
from bench.suites import Download, NotHere, Piece, list_downloads, load_suite
from tests.checkouts import write_concepts, write_pairs
from tests.commands import bench
from tests.server import Server, serving

KEY = "dreambench-plus@1"
SINGLE, PAIRS = "customconcept101@1", "customconcept101-multi@1"
PUBLISHED = Path(__file__).parents[1] / "../shared/data/customconcept101"
STORE = "customconcept101/benchmark_dataset.zip"


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that is empty, and no proxy between the test and its own server."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def archive() -> bytes:
    """A zip with 150 made-up subjects in the official layout, nine prompts each."""
    image, stored = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8)).save(image, "PNG")
    caption = "cup\n" + "".join(f"a cup at {n}\n" for n in range(9))
    with zipfile.ZipFile(stored, "w") as file:
        for k in range(150):
            file.writestr(f"data/images/object/{k:02d}_cup.png", image.getvalue())
            file.writestr(f"data/captions/object/{k:02d}_cup.txt", caption)
    return stored.getvalue()


@pytest.fixture
def server(archive: bytes) -> Iterator[Server]:
    with serving({"/data.zip": archive}) as running:
        yield running


@pytest.fixture
def published(archive: bytes, server: Server, monkeypatch: pytest.MonkeyPatch) -> Download:
    """What is known of the official archive, said of this one."""
    known = list_downloads()[KEY].model_copy(
        update={
            "url": f"{server.address}/data.zip",
            "sha256": hashlib.sha256(archive).hexdigest(),
            "bytes": len(archive),
        }
    )
    monkeypatch.setattr(downloads, "list_downloads", lambda: {KEY: known})
    return known


def test_the_published_archive_is_named_by_size_licence_digest_and_place() -> None:
    (piece,) = list_downloads()[KEY].pieces
    assert (piece.bytes, piece.sha256) == (
        15_061_282,
        "fabdaac1cbff6826c226e874902193ac7965e29b6c1644e983551c980ec82a33",
    )
    assert terms(KEY) == (
        "dreambench-plus@1: 150 subjects, 15 MB, Apache-2.0, from "
        "https://huggingface.co/datasets/yuangpeng/dreambench_plus/resolve/main/data.zip."
    )


@pytest.mark.usefixtures("published")
def test_a_fetch_that_broke_off_goes_on_where_it_stopped(archive: bytes, server: Server) -> None:
    told: list[tuple[str, int, int]] = []
    server.breaks_off_after = 1000
    with pytest.raises(UserError, match=r"broke off after 1000 .* or fetch again to go on"):
        fetch(KEY)
    assert held(KEY) is None
    assert fetch(KEY, lambda *step: told.append(step)).ok
    assert server.asked == [("/data.zip", None), ("/data.zip", "bytes=1000-")]
    assert fetch(KEY).ok
    assert len(server.asked) == 2
    assert told[-1] == (f"downloading {KEY}", len(archive), len(archive))
    assert len(load_suite(KEY).subjects) == 150
    assert [path.name for path in (home() / "data").iterdir()] == ["dreambench-plus"]


@pytest.mark.usefixtures("published")
def test_what_was_spoilt_is_fetched_again() -> None:
    fetch(KEY)
    spoilt = home() / "data/dreambench-plus/object_07_cup/00"
    spoilt.write_bytes(b"spoilt")
    assert fetch(KEY).ok
    assert spoilt.read_bytes() != b"spoilt"


def test_another_archive_is_refused_and_not_kept(
    published: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = published.model_copy(update={"sha256": 64 * "0"})
    monkeypatch.setattr(downloads, "list_downloads", lambda: {KEY: other})
    with pytest.raises(UserError, match=r"What came from .* of no use: .* is not the archive of"):
        fetch(KEY)
    assert list((home() / "data").iterdir()) == []


@pytest.mark.usefixtures("published")
def test_a_home_that_is_no_folder_is_said_so(archive: bytes, tmp_path: Path) -> None:
    home().rmdir()
    home().write_text("a file")
    (tmp_path / "data.zip").write_bytes(archive)
    with pytest.raises(UserError, match=r"cannot be copied to .*; nothing was added"):
        add(KEY, tmp_path / "data.zip")
    with pytest.raises(UserError, match=r"cannot be copied to .*; nothing was added"):
        fetch(KEY)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(write_concepts(tmp_path_factory.mktemp("checkout")))


@pytest.fixture(scope="module")
def files(checkout: Path) -> dict[str, bytes]:
    """The checkout as the official places have it: descriptions, and one archive beside them."""
    shown = [*checkout.rglob("*.json"), *checkout.rglob("*.txt")]
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as file:
        for path in sorted(checkout.rglob("*.jpg")):
            file.write(path, path.relative_to(checkout / "customconcept101"))
    served = {f"/{path.relative_to(checkout).as_posix()}": path.read_bytes() for path in shown}
    return {**served, f"/{STORE}": stored.getvalue()}


def piece_of(server: Server, path: str) -> Piece:
    """A file that is served, of known digest unless it is the archive."""
    content = server.files[f"/{path}"]
    digest = "" if path == STORE else hashlib.sha256(content).hexdigest()
    return Piece(path=path, url=f"{server.address}/{path}", bytes=len(content), sha256=digest)


@pytest.fixture
def official(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Both suites of CustomConcept101, known to be here and nowhere else."""

    single = ("customconcept101/dataset.json", "customconcept101/prompts/thing.txt", STORE)
    pairs = (
        "customconcept101/dataset_multiconcept.json",
        "customconcept101/prompts/thing_thing.txt",
    )
    with serving(dict(files)) as server:
        known = {
            key: list_downloads()[key].model_copy(
                update={"files": tuple(piece_of(server, path) for path in paths)}
            )
            for key, paths in ((SINGLE, single), (PAIRS, pairs))
        }
        monkeypatch.setattr(downloads, "list_downloads", lambda: known)
        yield server


def test_descriptions_and_photographs_from_two_places_make_the_suite_of_a_checkout(
    official: Server, checkout: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    assert fetch(SINGLE, lambda *step: told.append(step)).ok
    assert [path for path, _ in official.asked] == [
        "/customconcept101/dataset.json",
        "/customconcept101/prompts/thing.txt",
        f"/{STORE}",
    ]
    total = sum(len(official.files[path]) for path, _ in official.asked)
    assert told[-1] == (f"downloading {SINGLE}", total, total)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert [path.name for path in (home() / "data").iterdir()] == ["customconcept101"]
    identity = load_suite(SINGLE).identity
    shutil.rmtree(home() / "data")
    add(SINGLE, checkout)
    assert load_suite(SINGLE).identity == identity


def test_pairs_come_with_the_photographs_of_single_concepts_which_are_fetched_once(
    official: Server, checkout: Path
) -> None:
    assert terms(PAIRS).startswith(f"{SINGLE}: 101 subjects, ")
    assert fetch(PAIRS).ok and fetch(SINGLE).ok
    assert [path for path, _ in official.asked].count(f"/{STORE}") == 1
    assert terms(PAIRS).startswith(f"{PAIRS}: 101 subjects, ")
    identity = load_suite(PAIRS).identity
    shutil.rmtree(home() / "data")
    add(PAIRS, checkout)
    assert load_suite(PAIRS).identity == identity
    assert fetch(PAIRS).ok
    assert len(official.asked) == 5


def test_files_that_came_are_not_asked_for_again_from_their_beginning(official: Server) -> None:
    content = official.files.pop(f"/{STORE}")
    with pytest.raises(UserError, match=r"benchmark_dataset\.zip \(Not Found\); nothing was added"):
        fetch(SINGLE)
    official.files[f"/{STORE}"] = content
    official.asked.clear()
    assert fetch(SINGLE).ok
    assert [span is None for _, span in official.asked] == [False, False, True]


def test_a_description_that_is_not_the_published_one_adds_nothing(official: Server) -> None:
    official.files["/customconcept101/prompts/thing.txt"] += b"{} at home\n"
    with pytest.raises(UserError, match=r"of no use: .*thing\.txt is not the file that was publi"):
        fetch(SINGLE)
    assert list((home() / "data").iterdir()) == []


def test_hostile_members_are_never_written(official: Server) -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as file:
        file.writestr("benchmark_dataset/../../../evil.jpg", b"!")
    official.files[f"/{STORE}"] = stored.getvalue()
    with pytest.raises(UserError, match="leads out of the archive"):
        fetch(SINGLE)
    assert [path.name for path in home().rglob("*")] == ["data"]


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published data are not here")
@pytest.mark.parametrize(
    ("key", "table", "prompts_of"),
    [
        (SINGLE, "dataset.json", lambda row: row["prompt_filename"]),
        (PAIRS, "dataset_multiconcept.json", lambda row: row[2]["prompt_filename_compose"]),
    ],
)
def test_every_description_is_listed_with_its_size_and_digest(
    key: str, table: str, prompts_of: Callable[[Any], str]
) -> None:
    named = set(map(prompts_of, json.loads((PUBLISHED / table).read_text())))
    pieces = {piece.path: piece for piece in list_downloads()[key].pieces if piece.sha256}
    assert {*pieces} == {f"customconcept101/{path}" for path in (table, *named)}
    for path, piece in pieces.items():
        content = (PUBLISHED / path.removeprefix("customconcept101/")).read_bytes()
        assert (piece.bytes, piece.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert piece.url.endswith(f"/{path}")


@pytest.mark.parametrize(
    ("key", "first", "by_hand"),
    [
        ("dreambench-plus@1", "dreambench-plus@1: 150 subjects, 15 MB", "dreambench-plus"),
        (PAIRS, f"{SINGLE}: 101 subjects, 3.39 GB", "customconcept101"),
        ("imagenhub-editing@1", "dreambench@1: 158 images, 112 MB", "dreambench"),
    ],
)
def test_at_the_command_line_terms_come_first_and_then_what_went_wrong(
    key: str, first: str, by_hand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = bench("data", "fetch", key, home=home())
    assert done.returncode == 2 and done.stdout.startswith(first)
    assert f"{key}: {list_downloads()[key].subjects} subjects, " in done.stdout
    assert f"bench data add {by_hand} PATH" in done.stderr


@pytest.mark.parametrize("key", list_downloads())
def test_a_suite_that_is_not_here_names_both_ways_to_it(key: str) -> None:
    name = key.partition("@")[0]
    with pytest.raises(NotHere, match=f"'bench data fetch {name}', or get .*data add {name} PATH'"):
        load_suite(key)
