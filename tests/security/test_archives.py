"""What an archive of a stranger could do: write elsewhere, fill the disk or the memory, or hang."""

import gzip
import io
import resource
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.archives import is_archive, unpack
from bench.errors import UserError
from bench.formats import Unfit
from bench.formats import unpack as unpack_weights
from tests.commands import refusal_here
from tests.test_archives import written

MEMORY = 256 << 20
"""Bytes that reading a hostile file may take."""


def peak() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def tape(path: Path, *members: tarfile.TarInfo, content: bytes = b"!") -> Path:
    with tarfile.open(path, "w:gz") as stored:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            stored.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def through_link(path: Path) -> Path:
    """A link to a folder outside, and a file that would be written through it."""
    elsewhere = str(path.parent / "outside")
    return tape(path, member("x.jpg", tarfile.SYMTYPE, elsewhere), member("x.jpg/evil.jpg"))


def hard_link(path: Path) -> Path:
    return tape(path, member("x.jpg", tarfile.LNKTYPE, "/etc/passwd"))


def device(path: Path) -> Path:
    return tape(path, member("x.jpg", tarfile.CHRTYPE))


def pipe(path: Path) -> Path:
    return tape(path, member("x.jpg", tarfile.FIFOTYPE))


def above(path: Path) -> Path:
    return tape(path, member("../evil.jpg"))


def absolute(path: Path) -> Path:
    return tape(path, member(str(path.parent / "evil.jpg")))


def twice(path: Path) -> Path:
    return tape(path, member("x.jpg"), member("x.jpg"))


def bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stored:
        stored.writestr("x.jpg", bytes(64 << 20))
    return path


def lying_bomb(path: Path) -> Path:
    """It says that it is small, in both of its headers."""
    content = bomb(path).read_bytes()
    true, lie = (64 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")
    assert content.count(true) == 2
    path.write_bytes(content.replace(true, lie))
    return path


def endless_name(path: Path) -> Path:
    """A name of 300 megabytes, in few of the archive's."""
    header, zeros = member("x", tarfile.GNUTYPE_LONGNAME), bytes(1 << 20)
    header.size = 300 << 20
    with gzip.open(path, "wb", compresslevel=1) as stored:
        stored.write(header.tobuf())
        for _ in range(300):
            stored.write(zeros)
    return path


HOSTILE: list[Callable[[Path], Path]] = [
    through_link,
    hard_link,
    device,
    pipe,
    above,
    absolute,
    twice,
    bomb,
    lying_bomb,
    endless_name,
]


@pytest.mark.parametrize("make", HOSTILE)
def test_it_is_refused_and_nothing_lands_outside(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    archive = make(tmp_path / "data.archive")
    before, memory = written(tmp_path), peak()
    with pytest.raises(UserError):
        unpack(archive, tmp_path / "out", lambda name: name.endswith(".jpg"))
    after = {name: content for name, content in written(tmp_path).items() if name[:4] != "out/"}
    assert after == before
    assert sum(map(len, written(tmp_path / "out").values())) < 8 << 20
    assert peak() - memory < MEMORY


@pytest.mark.parametrize("make", [above, bomb, device])
def test_the_command_says_so_in_a_sentence(make: Callable[[Path], Path], tmp_path: Path) -> None:
    archive = make(tmp_path / "data.zip")
    home = tmp_path / "home"
    assert "nothing was added" in refusal_here("data", "add", "dreambench", archive, home=home)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_what_a_long_name_would_cost_is_known_before_it_is_read(tmp_path: Path) -> None:
    assert not is_archive(endless_name(tmp_path / "data"))


@pytest.mark.parametrize("name", ["../e.safetensors", "/e.safetensors", "a\\..\\e.safetensors"])
def test_weights_that_lead_out_are_left_where_they_are(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as stored:
        stored.writestr(name, b"!")
    unpack_weights(tmp_path / "w.zip", tmp_path / "out", ["*"], 100)
    assert [path.name for path in tmp_path.iterdir()] == ["w.zip"]


def test_weights_that_swell_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="unpack to far more"):
        unpack_weights(bomb(tmp_path / "w.zip"), tmp_path / "out", ["*"], 1000)
