"""Of an archive only what is wanted is written, and nothing outside the folder."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import archives
from bench.archives import is_archive, unpack, unpacked
from bench.errors import UserError


def zipped(path: Path, files: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stored:
        for name, content in files.items():
            stored.writestr(name, content)
        for name in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            stored.writestr(info, "/etc/passwd")
    return path


def taped(path: Path, files: dict[str, bytes], links: dict[str, bytes] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tape:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tape.addfile(info, io.BytesIO(content))
        for name, kind in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tape.addfile(info)
    return path


def jpg(name: str) -> bool:
    return name.endswith(".jpg")


def written(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


FILES = {"a/cup/0.jpg": b"cup", "a/hat/0.jpg": b"hat", "a/evil.py": b"!"}


@pytest.mark.parametrize("make", ["zip", "tar"])
def test_only_wanted_members_are_unpacked_and_only_for_a_while(make: str, tmp_path: Path) -> None:
    stored = (zipped if make == "zip" else taped)(tmp_path / "data", FILES)
    assert is_archive(stored)
    with unpacked(stored, jpg) as folder:
        assert written(folder) == {"a/cup/0.jpg": b"cup", "a/hat/0.jpg": b"hat"}
    assert not folder.exists()


@pytest.mark.parametrize("make", ["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["../evil.jpg", "a/../../evil.jpg", "/evil.jpg", "C:/evil.jpg", "a\\..\\..\\evil.jpg"]
)
def test_a_member_that_leads_out_is_named(make: str, name: str, tmp_path: Path) -> None:
    hostile = (zipped if make == "zip" else taped)(tmp_path / "data", {name: b"!"})
    with pytest.raises(UserError, match="leads out of the archive; nothing was added"):
        unpack(hostile, tmp_path / "out", jpg)
    assert written(tmp_path).keys() == {"data"}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["..", "a", "b", "."]), min_size=1, max_size=5))
def test_whatever_members_are_called_nothing_lands_outside(parts: list[str]) -> None:
    with TemporaryDirectory() as place:
        stored = zipped(Path(place) / "data.zip", {"/".join([*parts, "x.jpg"]): b"!"})
        if ".." in parts:
            with pytest.raises(UserError):
                unpack(stored, Path(place) / "out/in", jpg)
        else:
            unpack(stored, Path(place) / "out/in", jpg)
        assert all(
            name == "data.zip" or name.startswith("out/in/") for name in written(Path(place))
        )


@pytest.mark.parametrize("kind", ["zip", "symbolic", "hard", "device"])
def test_a_link_in_the_place_of_a_file_is_named_and_never_written(
    kind: str, tmp_path: Path
) -> None:
    types = {"symbolic": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
    if kind == "zip":
        hostile = zipped(tmp_path / "data", {}, ("cup.jpg",))
    else:
        hostile = taped(tmp_path / "data", {}, {"cup.jpg": types[kind]})
    with pytest.raises(UserError, match=r"'cup.jpg' in .* is a link or a device"):
        unpack(hostile, tmp_path / "out", jpg)
    assert not (tmp_path / "out").exists()


def test_links_that_nobody_wants_are_passed_over(tmp_path: Path) -> None:
    unpack(zipped(tmp_path / "data", FILES, ("shortcut",)), tmp_path / "out", jpg)
    assert "shortcut" not in written(tmp_path / "out")


@pytest.mark.parametrize("make", ["zip", "tar"])
def test_a_bomb_is_not_unpacked(make: str, tmp_path: Path) -> None:
    bomb = {"cup.jpg": b"\0" * 20_000_000}
    stored = (zipped if make == "zip" else taped)(tmp_path / "data", bomb)
    with pytest.raises(UserError, match="far more than photographs would"):
        unpack(stored, tmp_path / "out", jpg)
    assert not (tmp_path / "out").exists()


def test_a_bomb_that_lies_about_its_size_is_no_whole_archive(tmp_path: Path) -> None:
    stored = zipped(tmp_path / "data", {"cup.jpg": b"\0" * 20_000_000})
    content = stored.read_bytes()
    lie = content.replace((20_000_000).to_bytes(4, "little"), (5).to_bytes(4, "little"))
    assert lie != content
    stored.write_bytes(lie)
    with pytest.raises(UserError, match="no whole zip or tar archive"):
        unpack(stored, tmp_path / "out", jpg)
    assert all(len(kept) < 1_000_000 for kept in written(tmp_path).values())


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMBERS", 2)
    with pytest.raises(UserError, match="far more"):
        unpack(zipped(tmp_path / "data", FILES), tmp_path / "out", jpg)


def test_an_encrypted_member_is_said_so(tmp_path: Path) -> None:
    stored = zipped(tmp_path / "data", {"cup.jpg": b"cup"})
    content = bytearray(stored.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    stored.write_bytes(content)
    with pytest.raises(UserError, match="is encrypted; nothing was added"):
        unpack(stored, tmp_path / "out", jpg)


@pytest.mark.parametrize("make", ["zip", "tar"])
def test_half_an_archive_is_said_so(make: str, tmp_path: Path) -> None:
    stored = (zipped if make == "zip" else taped)(tmp_path / "data.zip", FILES)
    stored.write_bytes(stored.read_bytes()[:60])
    with pytest.raises(UserError, match="no whole zip or tar archive"):
        unpack(stored, tmp_path / "out", jpg)


def test_what_is_no_archive_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"<html>sign in</html>")
    with pytest.raises(UserError, match="no whole zip or tar archive"):
        unpack(tmp_path / "data.zip", tmp_path / "out", jpg)
