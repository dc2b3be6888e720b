"""Data sets are added whole, unaltered, into the user's own folder, or not at all."""

import hashlib
import io
import shutil
import socket
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench.api import Subject
from bench.data import ARCHIVES, Report, add, fetch, verify
from bench.errors import UserError
from bench.paths import home
from bench.references import open_reference
from bench.suites import ImageFile, Suite, list_suites, load_suite

PHOTOGRAPHS = Path(__file__).parents[1] / "../shared/data/dreambench/dataset"
FILES = {f"{thing}/{k}.jpg": f"{thing} {k}".encode() for thing in ("cup", "hat") for k in range(2)}
Serve = Callable[..., str]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is empty, and no proxy between the test and its own server."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def suite() -> Suite:
    """Two subjects with two files each."""
    return Suite(
        name="tiny",
        version=1,
        title="A cup and a hat",
        source="files",
        default_backbone="mini",
        headline="headline",
        licence="CC0",
        citation="nobody",
        world=None,
        subjects=tuple(
            Subject(
                directory=thing,
                class_noun=thing,
                descriptive_name=thing,
                live=False,
                references=("0.jpg", "1.jpg"),
            )
            for thing in ("cup", "hat")
        ),
        prompts_object=("a {}",),
        prompts_live=(),
        images=tuple(
            ImageFile(path=path, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
            for path, content in FILES.items()
        ),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The user's own copy of the data set, with something more in it."""
    for path, content in {**FILES, "cup/notes.txt": b"mine"}.items():
        (tmp_path / "mine" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / path).write_bytes(content)
    return tmp_path / "mine"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A web server of one answer, on this machine; returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(body: bytes, status: int = 200, announced: int | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(announced or len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/archive.zip"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def archive(files: dict[str, bytes]) -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return stored.getvalue()


def official(files: dict[str, bytes] = FILES) -> dict[str, bytes]:
    return {f"dreambooth-4f88/dataset/{path}": content for path, content in files.items()}


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_home_is_the_users_choice_or_the_platforms_cache(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home() == own_home
    monkeypatch.setenv("SUBJECTBENCH_HOME", "~/bench")
    assert home() == Path.home() / "bench"
    monkeypatch.setenv("SUBJECTBENCH_HOME", "")
    assert home().name.lower() == "subjectbench" and home().is_absolute()


@pytest.mark.parametrize("inside", ["", "dataset"])
def test_a_whole_copy_is_added_and_nothing_else_with_it(
    suite: Suite, folder: Path, tmp_path: Path, inside: str
) -> None:
    if inside:
        shutil.move(folder, tmp_path / "checkout" / inside)
        folder = tmp_path / "checkout"
    report = add(suite, folder)
    assert report.ok and report == verify(suite)
    assert report.sentence == f"All 4 images of tiny@1 are in {home()}/data/tiny, unaltered."
    assert everything_in(home()) == {f"data/tiny/{path}" for path in FILES}


def test_progress_counts_every_file(suite: Suite, folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    add(suite, folder, lambda title, done, total: told.append((title, done, total)))
    assert told == [("checking tiny@1", done, 4) for done in (1, 2, 3, 4)]


def test_missing_and_altered_files_are_counted_and_named(suite: Suite, folder: Path) -> None:
    (folder / "cup/0.jpg").unlink()
    (folder / "cup/1.jpg").unlink()
    (folder / "hat/1.jpg").write_bytes(b"hat 7")
    with pytest.raises(UserError) as error:
        add(suite, folder)
    assert "2 are missing (cup/0.jpg, cup/1.jpg) and 1 is altered (hat/1.jpg)" in str(error.value)
    assert "nothing was added" in str(error.value)
    assert not home().exists()


def test_only_the_first_few_names_are_said() -> None:
    paths = tuple(f"cup/{k}.jpg" for k in range(9))
    report = Report(suite="tiny@1", folder="f", expected=9, missing=paths)
    assert "9 are missing (cup/0.jpg, cup/1.jpg, cup/2.jpg, ...)." in report.sentence


def test_a_folder_that_is_not_there_is_named(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no folder or archive .*nowhere"):
        add(suite, tmp_path / "nowhere")


def test_verify_finds_what_was_spoilt_and_adding_again_mends_it(suite: Suite, folder: Path) -> None:
    add(suite, folder)
    (home() / "data/tiny/cup/0.jpg").write_bytes(b"cup")
    (home() / "data/tiny/hat/0.jpg").unlink()
    report = verify(suite)
    assert (report.altered, report.missing) == (("cup/0.jpg",), ("hat/0.jpg",))
    assert not report.ok
    assert add(suite, folder).ok
    assert everything_in(home()) == {f"data/tiny/{path}" for path in FILES}


def test_a_failed_adding_leaves_what_was_there(suite: Suite, folder: Path) -> None:
    add(suite, folder)
    (folder / "cup/0.jpg").unlink()
    with pytest.raises(UserError):
        add(suite, folder)
    assert verify(suite).ok


def test_nothing_there_is_a_report_and_no_error(suite: Suite) -> None:
    assert len(verify(suite).missing) == 4


def test_a_home_that_is_no_folder_is_said_so(suite: Suite, folder: Path, own_home: Path) -> None:
    own_home.write_text("a file")
    with pytest.raises(UserError, match=r"cannot be copied to .*; nothing was added"):
        add(suite, folder)


@pytest.mark.parametrize("key", ["mini", "mini-validation"])
def test_drawn_suites_need_no_data_and_say_so(key: str, tmp_path: Path) -> None:
    suite = load_suite(key)
    for report in (verify(suite), fetch(suite), add(suite, tmp_path)):
        assert report.ok
        assert report.sentence == f"{key}@1 draws its images itself and needs no data."
    assert not home().exists()


def test_prompts_alone_need_no_data_and_say_so() -> None:
    report = verify(load_suite("partiprompts"))
    assert report.ok
    assert report.sentence == "partiprompts@1 has no images, only prompts, and needs no data."


def test_every_suite_of_files_has_an_official_place() -> None:
    own = {s.name for s in list_suites() if s.source == "files" and s.images and not s.images_of}
    assert own <= set(ARCHIVES)


def test_fetching_takes_the_images_out_of_the_official_archive(suite: Suite, serve: Serve) -> None:
    told: list[str] = []
    url = serve(archive({**official(), "dreambooth-4f88/README.md": b"read me"}))
    assert fetch(suite, lambda title, done, total: told.append(title), url).ok
    assert everything_in(home()) == {f"data/tiny/{path}" for path in FILES}
    assert "downloading tiny@1" in told


def test_what_is_there_is_not_fetched_again(suite: Suite, folder: Path) -> None:
    add(suite, folder)
    assert fetch(suite, url="http://127.0.0.1:9/never-asked").ok


def test_hostile_members_are_never_written(suite: Suite, serve: Serve, tmp_path: Path) -> None:
    hostile = {**official(), "x/dataset/../../../evil": b"!"}
    with pytest.raises(UserError, match=r"'x/dataset/../../../evil' .* leads out"):
        fetch(suite, url=serve(archive(hostile)))
    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({**FILES, "cup/0.jpg": b"pot 0"}, r"1 is altered \(cup/0.jpg\)"),
        ({"cup/0.jpg": b"cup 0"}, "3 are missing"),
    ],
    ids=["altered", "incomplete"],
)
def test_an_archive_of_something_else_adds_nothing(
    suite: Suite, serve: Serve, files: dict[str, bytes], what: str
) -> None:
    with pytest.raises(UserError, match=what):
        fetch(suite, url=serve(archive(official(files))))
    assert everything_in(home()) == set()


def test_a_member_that_swells_is_not_unpacked(suite: Suite, serve: Serve) -> None:
    swollen = {**FILES, "cup/0.jpg": b"cup 0" + b"\0" * 50_000_000}
    url = serve(archive(official(swollen)))
    del swollen
    tracemalloc.start()
    with pytest.raises(UserError, match="far more than photographs would"):
        fetch(suite, url=url)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_an_archive_that_is_none_is_said_so(suite: Suite, serve: Serve) -> None:
    with pytest.raises(UserError, match=r"What came from .* is no whole zip or tar archive"):
        fetch(suite, url=serve(b"<html>sign in</html>"))
    assert everything_in(home()) == set()


def test_a_download_that_breaks_off_adds_nothing_and_goes_on(suite: Suite, serve: Serve) -> None:
    whole = archive(official())
    with pytest.raises(UserError, match=r"broke off .* or fetch again to go on"):
        fetch(suite, url=serve(whole[: len(whole) // 2], announced=len(whole)))
    assert everything_in(home()) == {"data/.tiny.part"}
    assert fetch(suite, url=serve(whole)).ok
    assert everything_in(home()) == {f"data/tiny/{path}" for path in FILES}


def test_a_page_that_is_gone_is_said_so(suite: Suite, serve: Serve) -> None:
    with pytest.raises(UserError, match=r"cannot be downloaded from .*Not Found"):
        fetch(suite, url=serve(b"gone", status=404))


def test_without_a_network_the_other_way_is_named(suite: Suite) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError) as error:
        fetch(suite, url=f"http://127.0.0.1:{port}/archive.zip")
    assert "Connection refused" in str(error.value)
    assert "run 'bench data add tiny PATH'" in str(error.value)
    assert "\n" not in str(error.value)
    assert everything_in(home()) == set()


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="no DreamBench photographs")
def test_the_real_photographs_are_accepted_and_open() -> None:
    suite = load_suite("dreambench")
    assert add(suite, PHOTOGRAPHS.parent).ok
    subject = suite.subjects[0]
    image = open_reference(suite, subject, "02.jpg")
    assert (image.mode, image.size) == ("RGB", (1280, 1280))
