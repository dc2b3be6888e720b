"""A run lies on a disk or on an object store; what is on a store outlives machines and networks."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.paths import cache_in
from bench.places import Bucket, Disk, place_of
from bench.places.addresses import STREAMS
from tests.places.object_store import BUCKET, SECRET, Store, client, no_fault, objects, serving

RUN = f"s3://{BUCKET}/sfo/mini"
SHARD = "images/ledger/0.jsonl"
MANIFEST = "manifest.json"


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with serving() as store:
        yield store


@pytest.fixture
def store(server: Store, machine: Callable[[str], Bucket]) -> Store:
    server.fresh()
    return server


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Bucket]:
    """The place of the run as the machine of this name sees it."""

    def at(name: str, url: str = RUN) -> Bucket:
        with cache_in(tmp_path / name):
            return Bucket(url)

    return at


def filled(place: Bucket, **files: bytes | str) -> list[Path]:
    """Files in the folder of a place, given as ``a__b="..."`` for ``a/b``."""
    return [write(place, name.replace("__", "/"), content) for name, content in files.items()]


def write(place: Bucket, name: str, content: bytes | str) -> Path:
    path = place.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def in_folder(place: Bucket) -> dict[str, bytes]:
    files = (path for path in place.folder.rglob("*") if path.is_file())
    return {path.relative_to(place.folder).as_posix(): path.read_bytes() for path in files}


def on_store() -> dict[str, bytes]:
    return {key.removeprefix("sfo/mini/"): content for key, content in objects().items()}


def refused(work: Callable[[], object]) -> str:
    """The sentence of a refusal, which holds no secret."""
    with pytest.raises(UserError) as raised:
        work()
    assert SECRET not in str(raised.value)
    return str(raised.value)


# --- which place ----------------------------------------------------------------------------------


def test_a_path_is_a_disk_where_everything_is_here(tmp_path: Path) -> None:
    for place in (place_of(tmp_path / "run"), place_of(f"file://{tmp_path}/run")):
        assert isinstance(place, Disk) and place.folder == tmp_path / "run"
        with place.exclusive():
            (place.folder / "a").write_text("a")
            place.publish(place.folder / "a")
            place.fetch("a", "b/")
            assert "Another process works in" in refused(place_of(place.url).exclusive().__enter__)
        assert (place.folder / "a").read_text() == "a"


def test_an_address_stays_one_when_it_was_taken_for_a_path(store: Store) -> None:
    for out in (RUN, Path(RUN), f"{RUN}/"):
        place = place_of(out)
        assert isinstance(place, Bucket) and place.url == RUN
        assert place_of(out) is place


def test_two_addresses_or_endpoints_have_two_folders(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {machine("a").folder, machine("a", f"{RUN}2").folder, machine("b").folder}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert len(folders | {machine("a").folder}) == 4


# --- there and back -------------------------------------------------------------------------------

names = st.lists(
    st.text(st.characters(exclude_characters="/:\\\0", codec="utf-8"), min_size=1, max_size=20)
    .filter(lambda part: part not in {".", ".."})
    .map("f{}".format),
    min_size=1,
    max_size=3,
).map("/".join)


@settings(max_examples=40, deadline=None)
@given(files=st.dictionaries(names, st.binary(max_size=64), min_size=1, max_size=5))
def test_what_one_machine_publishes_another_fetches(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {f"{place}-{name}": content for place, (name, content) in enumerate(files.items())}
    folder, url = tmp_path_factory.mktemp("there"), f"memory://{uuid4().hex}"
    with cache_in(folder / "one"):
        here = Bucket(url)
    with cache_in(folder / "other"):
        there = Bucket(url)
    here.publish(*(write(here, f"checkpoints/{name}", data) for name, data in files.items()))
    there.fetch("checkpoints/")
    assert in_folder(there) == in_folder(here) != {}
    there.fetch(*in_folder(here))
    assert in_folder(there) == in_folder(here)


def test_objects_are_the_files_by_their_names(store: Store, machine: Callable[..., Bucket]) -> None:
    place = machine("a")
    place.publish(*filled(place, images__cat__0="png", images__ledger__0="{}"))
    assert on_store() == in_folder(place) == {"images/cat/0": b"png", "images/ledger/0": b"{}"}


def test_what_is_missing_is_no_error_and_nothing_is_listed_unasked(
    store: Store, machine: Callable[..., Bucket]
) -> None:
    place = machine("a")
    place.fetch(MANIFEST, "images/cat/0.png")
    assert not in_folder(place) and store.count("LIST") == 0
    place.fetch("images/ledger/", "checkpoints/")
    assert not in_folder(place) and store.count("LIST") == 2


def test_what_is_here_is_not_fetched_again_unless_it_differs(
    store: Store, machine: Callable[..., Bucket]
) -> None:
    here, there = machine("a"), machine("b")
    here.publish(*filled(here, checkpoints__a="same", checkpoints__b="old"))
    there.fetch("checkpoints/")
    store.asked.clear()
    for place in (here, there):
        place.fetch("checkpoints/", "checkpoints/a")
    assert store.count("GET") == 0
    here.publish(write(here, "checkpoints/b", "new"))
    there.fetch("checkpoints/")
    assert store.count("GET") == 1
    assert in_folder(there) == {"checkpoints/a": b"same", "checkpoints/b": b"new"}


def test_large_files_go_in_parts_and_are_known_again(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.places.objects.PART", 5 << 20)
    here, there = machine("a"), machine("b")
    here.publish(write(here, "checkpoints/state.pt", bytes(range(256)) * (43 << 10)))
    assert store.count("PUT", "state.pt") == 3
    there.fetch("checkpoints/")
    store.asked.clear()
    for place in (here, there):
        place.fetch("checkpoints/state.pt")
    assert store.count("GET") == 0
    assert in_folder(there) == in_folder(here)


def test_no_shard_of_a_ledger_is_there_before_its_images(
    store: Store, machine: Callable[..., Bucket]
) -> None:
    place = machine("a")
    images = [write(place, f"images/cat/{n}.png", f"{n}") for n in range(20)]
    place.publish(*images, write(place, SHARD, "{}\n"))
    put = [path for method, path in store.asked if method == "PUT"]
    assert len(put) == 21 and put[-1].endswith(SHARD)


def test_a_shard_whose_image_does_not_get_through_is_not_there(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.places.objects.FIRST", 0.3)
    monkeypatch.setattr("bench.places.objects.PATIENCE", 0.3)
    store.fault = lambda environ: "503" if environ["PATH_INFO"].endswith("7.png") else None
    place = machine("a")
    images = [write(place, f"images/cat/{n}.png", f"{n}") for n in range(10)]
    said = refused(lambda: place.publish(*images, write(place, SHARD, "{}\n")))
    assert said.startswith(f"{RUN} does not answer (503)")
    assert SHARD not in on_store() and "images/cat/7.png" not in on_store()


def test_after_one_transfer_was_given_up_none_is_begun(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.places.objects.FIRST", 0.2)
    store.fault = lambda environ: "503"
    place = machine("a")
    paths = [write(place, f"images/cat/{n}.png", f"{n}") for n in range(3 * STREAMS)]
    refused(lambda: place.publish(*paths))
    assert len({path for _, path in store.asked}) <= STREAMS


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    import fsspec

    root = uuid4().hex
    fsspec.filesystem("memory").pipe_file(f"/{root}/checkpoints/../../../evil", b"")
    with cache_in(tmp_path):
        place = Bucket(f"memory://{root}")
    assert "cannot be a file in a folder" in refused(lambda: place.fetch("checkpoints/"))
    assert not list(tmp_path.rglob("evil"))


# --- what earlier drivers left --------------------------------------------------------------------


def test_what_could_not_be_published_is_by_the_next_driver(
    store: Store, machine: Callable[..., Bucket]
) -> None:
    place = machine("a")
    with place.exclusive():
        place.publish(write(place, MANIFEST, "one"))
        work = filled(place, checkpoints__state="step 1", checkpoints__w="hours of work")
        store.fault = lambda environ: "403" if "checkpoints" in environ["PATH_INFO"] else None
        assert "have expired" in refused(lambda: place.publish(*work))
        store.fault = no_fault
    client().put_object(Bucket=BUCKET, Key="sfo/mini/checkpoints/state", Body=b"step 2, elsewhere")
    with machine("a").exclusive():
        assert on_store()["checkpoints/w"] == b"hours of work"
        assert on_store()["checkpoints/state"] == b"step 2, elsewhere"


@pytest.mark.parametrize("other", ["two", None])
def test_what_is_of_another_run_than_the_store_holds_is_dropped(
    store: Store, machine: Callable[..., Bucket], other: str | None
) -> None:
    place = machine("a")
    with place.exclusive():
        place.publish(write(place, MANIFEST, "one"), write(place, "checkpoints/v", "of one"))
        store.fault = lambda environ: "403" if environ["PATH_INFO"].endswith("w") else None
        refused(lambda: place.publish(write(place, "checkpoints/w", "of one")))
    store.fresh()
    if other:
        client().put_object(Bucket=BUCKET, Key=f"sfo/mini/{MANIFEST}", Body=other.encode())
    left = {MANIFEST: other.encode()} if other else {}
    for again in (machine("a"), machine("a")):
        again.fetch(MANIFEST)
        assert in_folder(again) == left
        with again.exclusive():
            again.fetch(MANIFEST, "checkpoints/")
            assert in_folder(again) == left
    assert on_store() == left


def test_the_stores_word_counts_of_what_lay_here_before(
    store: Store, machine: Callable[..., Bucket]
) -> None:
    place = machine("a")
    place.publish(write(place, MANIFEST, "one"))
    filled(place, images__ledger__old="{}", images__cat__0="unpublished", other="kept")
    with place.exclusive():
        write(place, "images/ledger/new", "{}")
        place.fetch(MANIFEST, "images/ledger/", "images/cat/0")
        assert in_folder(place) == {MANIFEST: b"one", "images/ledger/new": b"{}", "other": b"kept"}


def test_what_is_discarded_stays_here_and_can_be_published_again(
    store: Store, machine: Callable[..., Bucket]
) -> None:
    place = machine("a")
    paths = filled(place, images__ledger__0="{}", images__ledger__1="{}", images__0="png")
    place.publish(*paths)
    place.discard("images/ledger/")
    assert on_store() == {"images/0": b"png"} and len(in_folder(place)) == 3
    place.publish(*paths)
    assert on_store() == in_folder(place)


def test_only_what_changed_is_sent(store: Store, machine: Callable[..., Bucket]) -> None:
    here, there = machine("a"), machine("b")
    paths = filled(here, checkpoints__a="aa", checkpoints__b="bb")
    here.publish(*paths)
    there.fetch("checkpoints/")
    for place in (here, there):
        store.asked.clear()
        place.publish(*(place.folder / "checkpoints" / name for name in "ab"))
        assert store.count("PUT") == 0
    there.publish(write(there, "checkpoints/a", "AA"))
    assert on_store() == {"checkpoints/a": b"AA", "checkpoints/b": b"bb"}


# --- one driver -----------------------------------------------------------------------------------

RACE = """
import sys, time
from pathlib import Path
from bench.errors import UserError
from bench.places import place_of
root, rounds, name = Path(sys.argv[1]), sys.argv[3:], sys.argv[2]
places = {round: place_of(f"s3://runs/{round}") for round in rounds}
for round, place in places.items():
    (root / f"{name} {round} ready").touch()
    while len(list(root.glob(f"* {round} ready"))) < 2:
        time.sleep(0.001)
    try:
        with place.exclusive():
            print("won", flush=True)
            (root / f"{name} {round} done").touch()
            while len(list(root.glob(f"* {round} done"))) < 2:
                time.sleep(0.001)
    except UserError as error:
        assert "Another process works in" in str(error), error
        print("refused", flush=True)
        (root / f"{name} {round} done").touch()
"""


def driver(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RACE, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lock(**holder: object) -> bytes:
    return json.dumps({"host": "elsewhere", "pid": 1, "token": "theirs", **holder}).encode()


def test_of_racing_drivers_one_wins_also_over_the_lock_of_one_killed(
    store: Store, tmp_path: Path
) -> None:
    rounds = [f"race-{number}" for number in range(5)]
    holder = driver(tmp_path, "killed", rounds[0])
    (tmp_path / f"waiter {rounds[0]} ready").touch()
    assert holder.stdout and holder.stdout.readline() == "won\n"
    holder.kill()
    holder.communicate()
    left = client().get_object(Bucket=BUCKET, Key=f"{rounds[0]}/.lock")["Body"].read()
    for path in tmp_path.iterdir():
        path.unlink()
    for stale in rounds[1:3]:
        client().put_object(Bucket=BUCKET, Key=f"{stale}/.lock", Body=left)
    pair = [driver(tmp_path, name, *rounds) for name in ("a", "b")]
    told = [process.communicate(timeout=60) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], told
    for outcome in zip(*(out.splitlines() for out, _ in told), strict=True):
        assert sorted(outcome) == ["refused", "won"]
    assert not objects()


def test_a_second_driver_is_refused_and_the_lock_goes_with_the_first(
    store: Store, machine: Callable[..., Bucket]
) -> None:
    with machine("a").exclusive():
        said = refused(machine("b").exclusive().__enter__)
        assert said.startswith(f"Another process works in {RUN} (process ")
        assert ".lock" in on_store()
    assert not on_store()
    with machine("b").exclusive():
        pass


def test_a_lock_from_elsewhere_is_given_up_by_the_stores_clock(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    client().put_object(Bucket=BUCKET, Key="sfo/mini/.lock", Body=lock())
    ticks = count(time.time() + 1e6)
    monkeypatch.setattr("time.time", lambda: next(ticks))
    assert "process 1 on elsewhere" in refused(machine("a").exclusive().__enter__)
    client().put_object(Bucket=BUCKET, Key="sfo/mini/.lock", Body=b"no lock")
    assert "process ? on another machine" in refused(machine("a").exclusive().__enter__)
    monkeypatch.setattr("bench.places.leases.STALE", -1)
    with machine("a").exclusive():
        assert list(on_store()) == [".lock"]


def test_a_driver_gives_signs_of_life_and_notices_when_it_was_taken_for_dead(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.places.leases.BEAT", 0.02)
    place = machine("a")
    with place.exclusive():
        mine, before = on_store()[".lock"], store.count("PUT", ".lock")
        wait_until(lambda: store.count("PUT", ".lock") > before + 1)
        assert on_store() == {".lock": mine}
        client().put_object(Bucket=BUCKET, Key="sfo/mini/.lock", Body=lock())
        wait_until(lambda: is_taken_over(place, write(place, MANIFEST, "{}")))
    assert on_store()[".lock"] == lock()


def is_taken_over(place: Bucket, manifest: Path) -> bool:
    try:
        place.publish(manifest)
    except UserError as error:
        return "has taken over" in str(error)
    return False


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["503", "drop", "hang"])
def test_a_store_that_fails_now_and_then_costs_time_alone(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setitem(s3_config(), "read_timeout", 0.5)
    monkeypatch.setattr("bench.places.objects.ATTEMPT", 0.5)
    monkeypatch.setattr("bench.places.objects.PAUSE", 0.02)
    store.hangs = 1
    here, there = machine("a"), machine("b")
    paths = [write(here, f"images/{n}.png", f"{n}") for n in range(6)]
    numbers = count()
    store.fault = lambda environ: fault if next(numbers) % 3 == 1 else None
    here.publish(*paths)
    there.fetch(*in_folder(here))
    store.fault = no_fault
    assert on_store() == in_folder(there) == in_folder(here)


def s3_config() -> dict[str, float]:
    from bench.places.addresses import S3_OPTIONS

    config: dict[str, float] = S3_OPTIONS["config_kwargs"]
    return config


@pytest.mark.parametrize("fault", ["503", "drop", "hang"])
def test_a_store_that_never_answers_is_given_up_in_time(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setitem(s3_config(), "read_timeout", 0.2)
    monkeypatch.setattr("bench.places.objects.FIRST", 0.5)
    store.hangs, store.fault = 1, lambda environ: fault
    began = time.monotonic()
    said = refused(machine("a").exclusive().__enter__)
    assert said.startswith(f"{RUN} does not answer") and time.monotonic() - began < 5
    assert "everything finished is kept" in said


def test_bounds_add_up_to_less_than_a_minute() -> None:
    from bench.places.addresses import CONNECT, READ
    from bench.places.objects import ATTEMPT, FIRST, PATIENCE

    assert max(CONNECT, READ) <= ATTEMPT and FIRST <= PATIENCE
    assert PATIENCE + ATTEMPT < 60


def test_a_transfer_that_trickles_is_given_up_too(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer comes before silence counts, and yet too late."""
    monkeypatch.setattr("bench.places.objects.ATTEMPT", 0.2)
    monkeypatch.setattr("bench.places.objects.FIRST", 0.3)
    store.hangs, store.fault = 2, lambda environ: "hang"
    assert "does not answer (FSTimeoutError)" in refused(lambda: machine("a").fetch(MANIFEST))


def test_an_endpoint_that_nobody_listens_on(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.places.objects.FIRST", 0.3)
    for login in ("", f"name:{SECRET}@"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{login}127.0.0.1:9")
        assert f"{RUN} does not answer (" in refused(machine("a").exclusive().__enter__)


def test_a_bucket_that_is_not_there(store: Store, machine: Callable[..., Bucket]) -> None:
    place = machine("a", "s3://nowhere/run")
    said = "There is no bucket s3://nowhere; create it, or choose another place."
    assert refused(place.exclusive().__enter__) == said
    assert refused(lambda: place.fetch("checkpoints/")) == said
    assert refused(lambda: place.publish(write(place, "a", "a"))) == said


def test_credentials_that_are_missing_or_refused(
    store: Store, machine: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fault = lambda environ: "403"
    assert "do not allow to read and write" in refused(machine("a").exclusive().__enter__)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    said = refused(machine("a").exclusive().__enter__)
    assert said.startswith(f"There are no credentials for {RUN} (NoCredentialsError); give them as")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nfs4://server/run", "a kind of store that nothing here knows"),
        ("s3:///run", "is no folder of a store"),
        (f"s3://{BUCKET}/run?sig={SECRET}", "is no folder of a store"),
        (f"s3://me:{SECRET}@{BUCKET}/run", f"The address s3://{BUCKET}/run came with a name and"),
        ("simplecache::s3://runs/run", "is no folder of a store"),
    ],
)
def test_addresses_that_are_of_no_use(url: str, said: str) -> None:
    assert said in refused(lambda: place_of(url))


@pytest.mark.parametrize(("url", "mend"), [(RUN, "s3"), ("gs://runs/run", "gs")])
def test_a_package_that_is_missing(url: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("fsspec.registry"), "registry", {})
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    assert f"pip install 'subjectbench[{mend}]'" in refused(lambda: Bucket(url))


def test_a_disk_that_is_full_is_told_and_leaves_no_scraps(
    store: Store, machine: Callable[..., Bucket], tmp_path: Path
) -> None:
    here, disk = machine("a"), tmp_path / "small"
    here.publish(write(here, "checkpoints/w", b"w" * 300_000))
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        said = refused(lambda: machine("small").fetch("checkpoints/"))
        assert "SUBJECTBENCH_CACHE" in said and "is full" in said
        assert not [path for path in disk.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
