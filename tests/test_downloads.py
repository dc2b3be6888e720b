"""A suite that is read from its official download is fetched where that is a single known file."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from bench import downloads
from bench.downloads import add, fetch, held, terms
from bench.errors import UserError
from bench.paths import home
from bench.suites import Download, list_downloads, load_suite
from tests.commands import bench, refusal
from tests.server import serving

KEY = "dreambench-plus@1"


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
def published(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> Download:
    """What is known of the official archive, said of this one."""
    known = list_downloads()[KEY].model_copy(
        update={"sha256": hashlib.sha256(archive).hexdigest(), "bytes": len(archive)}
    )
    monkeypatch.setattr(downloads, "list_downloads", lambda: {KEY: known})
    return known


def test_the_published_archive_is_named_by_size_licence_digest_and_place() -> None:
    known = list_downloads()[KEY]
    assert (known.bytes, known.sha256) == (
        15_061_282,
        "fabdaac1cbff6826c226e874902193ac7965e29b6c1644e983551c980ec82a33",
    )
    assert terms(KEY) == (
        "dreambench-plus@1: 150 subjects, 15 MB, Apache-2.0, from "
        "https://huggingface.co/datasets/yuangpeng/dreambench_plus/resolve/main/data.zip."
    )


@pytest.mark.usefixtures("published")
def test_a_fetch_that_broke_off_goes_on_where_it_stopped(archive: bytes) -> None:
    told: list[tuple[str, int, int]] = []
    with serving({"/data.zip": archive}) as server:
        url = f"{server.address}/data.zip"
        server.breaks_off_after = 1000
        with pytest.raises(UserError, match=r"broke off after 1000 .* or fetch again to go on"):
            fetch(KEY, url=url)
        assert held(KEY) is None
        assert fetch(KEY, lambda *step: told.append(step), url).ok
        assert server.asked == [("/data.zip", None), ("/data.zip", "bytes=1000-")]
        assert fetch(KEY, url=url).ok
        assert len(server.asked) == 2
    assert told[-1] == (f"downloading {KEY}", len(archive), len(archive))
    assert len(load_suite(KEY).subjects) == 150
    assert [path.name for path in (home() / "data").iterdir()] == ["dreambench-plus"]


@pytest.mark.usefixtures("published")
def test_what_was_spoilt_is_fetched_again(archive: bytes) -> None:
    with serving({"/data.zip": archive}) as server:
        fetch(KEY, url=f"{server.address}/data.zip")
        spoilt = home() / "data/dreambench-plus/object_07_cup/00"
        spoilt.write_bytes(b"spoilt")
        assert fetch(KEY, url=f"{server.address}/data.zip").ok
    assert spoilt.read_bytes() != b"spoilt"


def test_another_archive_is_refused_and_not_kept(archive: bytes) -> None:
    with (
        serving({"/data.zip": archive}) as server,
        pytest.raises(UserError, match=r"What came from .* is of no use: .* is not the archive of"),
    ):
        fetch(KEY, url=f"{server.address}/data.zip")
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


def test_what_is_no_single_file_is_for_people_to_get() -> None:
    for tell in (fetch, terms):
        with pytest.raises(UserError, match=r"no single file .*bench data add customconcept101 PA"):
            tell("customconcept101@1")


def test_at_the_command_line_terms_come_first_and_then_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = bench("data", "fetch", "dreambench-plus", home=home())
    assert done.returncode == 2 and done.stdout.startswith("dreambench-plus@1: 150 subjects, 15 MB")
    assert "bench data add dreambench-plus PATH" in done.stderr
    assert "bench data fetch dreambench-plus" in refusal(
        "data", "verify", "dreambench-plus", home=home()
    )
