"""Objects below one address of a store: every call bounded in time, tried again, told in words."""

from __future__ import annotations

import base64
import hashlib
import inspect
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.errors import UserError
from bench.identity import identity
from bench.places.addresses import file_system, parse
from bench.places.refusals import is_absent, is_taken, is_unheard_of, may_pass, refusal

PART = 32 << 20
"""Bytes of one part of a large upload; fixed, because the store's checksum follows from it."""
ATTEMPT, SMALL = 20.0, 8 << 20
"""Seconds that one try may take, of a transfer of up to so many bytes."""
FIRST, PATIENCE = 10.0, 35.0
"""Seconds after which nothing is tried again: of a store that has yet to answer, and of one that
answered what was asked before."""
PAUSE = 0.2
"""Seconds before the second try; doubled each time."""
SLOWEST = 64 << 10
"""Bytes a second of a larger transfer, beside which others run."""
SUM = re.compile("[0-9a-f]{32}(-[0-9]+)?")


@dataclass(frozen=True)
class Stat:
    """What a store says of an object; ``checksum`` is empty where it does not follow from bytes."""

    size: int
    checksum: str
    tag: str

    def is_of(self, path: Path) -> bool:
        """Whether a file is known to have the bytes of the object."""
        if not self.checksum or path.stat().st_size != self.size:
            return False
        return _checksum(path, in_parts="-" in self.checksum) == self.checksum


class Objects:
    """Objects by their names below an address; ``url`` is that address without credentials.

    UserError from every call: no credentials, no bucket, no permission, no answer, a full disk.
    """

    def __init__(self, url: str) -> None:
        """UserError for an address that no installed package understands."""
        address = parse(url)
        self.url = address.shown
        self.identity = identity([address.shown, address.endpoint])
        self._fs, self._root = file_system(address)
        self._on_s3 = address.on_s3
        self._answered = False

    def read(self, name: str) -> bytes | None:
        # Without this s3fs asks for the size first, and lists where there is no such object.
        options = {"max_concurrency": 1} if self._on_s3 else {}
        with self._told():
            data: bytes | None = self._or_none("cat_file", self._key(name), **options)
            return data

    def write(self, name: str, data: bytes, over: Stat | None = None) -> None:
        """Write an object; where the store can see to it, only if it is still ``over``."""
        condition: dict[str, Any] = {"IfMatch": over.tag} if over and self._on_s3 else {}
        with self._told():
            try:
                self._call("pipe_file", self._key(name), data, **condition)
            except Exception as error:
                if not is_taken(error) and not (over and is_absent(error)):
                    raise

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one: reading it tells whether that was so.

        Returns whether the store sees to it that one alone of several writers can succeed.
        """
        return self._on_condition(name, data, mode="create")

    def replace(self, name: str, data: bytes, before: Stat) -> bool:
        """Write an object unless it has changed or gone; otherwise as ``create``."""
        if self._on_s3:
            return self._on_condition(name, data, IfMatch=before.tag)
        self.remove(name)
        self.create(name, data)
        return False

    def get(self, name: str, path: Path, size: int = 0) -> bool:
        """Fetch an object to a file; returns whether there is one."""
        with self._told():
            try:
                if self._on_s3 or size > SMALL:
                    self._call("get_file", self._key(name), str(path), size=size)
                else:  # get_file of other clients lists first, to see whether it is a folder
                    path.write_bytes(self._call("cat_file", self._key(name)))
            except FileNotFoundError as error:
                if not is_absent(error):
                    raise
                return False
        return True

    def put(self, path: Path, name: str) -> None:
        options = {"chunksize": PART} if self._on_s3 else {}
        size = path.stat().st_size
        with self._told():
            self._call("put_file", str(path), self._key(name), size=size, **options)

    def remove(self, name: str) -> None:
        with self._told():
            self._or_none("rm_file", self._key(name))

    def stat(self, name: str) -> Stat | None:
        with self._told():
            if not self._on_s3:
                found = self._or_none("info", self._key(name))
                return _stat(found) if found and found["type"] == "file" else None
            # s3fs.info would list what it does not find.
            bucket, key, _ = self._fs.split_path(self._key(name))
            head = self._or_none("call_s3", "head_object", Bucket=bucket, Key=key)
            return _stat({**head, "size": head["ContentLength"]}) if head else None

    def age(self, name: str, beside: str) -> float:
        """Seconds by which the object ``beside`` is younger, by the store's own clock."""
        with self._told():
            older, younger = (self._call("modified", self._key(each)) for each in (name, beside))
        return float((younger - older).total_seconds())

    def list(self, prefix: str) -> dict[str, Stat]:
        """All objects whose names begin with ``prefix``, which ends in a slash.

        UserError where a name would lead out of a folder.
        """
        where, options = self._key(prefix), {}
        if "prefix" in inspect.signature(type(self._fs).find).parameters:
            where, options = self._root, {"prefix": prefix}
        with self._told():
            found = self._or_none("find", where, detail=True, size=PART, **options) or {}
        names = {key.removeprefix(f"{self._root}/"): info for key, info in found.items()}
        return {
            self._safe(name): _stat(info)
            for name, info in names.items()
            if name.startswith(prefix) and not name.endswith("/") and info["type"] == "file"
        }

    def _safe(self, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name:
            raise UserError(
                f"{self.url} holds an object '{name}', which cannot be a file in a folder; remove "
                "it, or choose another place."
            )
        return name

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _on_condition(self, name: str, data: bytes, **condition: Any) -> bool:
        """Write twice on a condition that fails the second time where a store keeps to it."""
        with self._told():
            try:
                for _ in range(2):
                    self._call("pipe_file", self._key(name), data, **condition)
            except Exception as error:
                if is_taken(error) or ("IfMatch" in condition and is_absent(error)):
                    return True
                if not is_unheard_of(error):
                    raise
                self._call("pipe_file", self._key(name), data)
        return False

    def _or_none(self, method: str, *arguments: Any, **options: Any) -> Any:
        """None where there is no such object."""
        try:
            return self._call(method, *arguments, **options)
        except FileNotFoundError as error:
            if is_absent(error):
                return None
            raise

    def _call(self, method: str, *arguments: Any, size: int = 0, **options: Any) -> Any:
        """One request or transfer of ``size`` bytes, tried again for as long as that may help."""
        until = time.monotonic() + (PATIENCE if self._answered else FIRST)
        attempt = self._bounded(method, ATTEMPT + max(0, size - SMALL) / SLOWEST)
        pause = PAUSE
        while True:
            try:
                result = attempt(*arguments, **options)
            except Exception as error:
                passing = may_pass(error)
                if not passing or time.monotonic() + pause > until:
                    self._answered = not passing
                    raise
            else:
                self._answered = True
                return result
            time.sleep(pause)
            pause *= 2

    def _bounded(self, method: str, seconds: float) -> Callable[..., Any]:
        """A method of the file system that ends in time, where it can be made to."""
        plain: Callable[..., Any] = getattr(self._fs, method)
        work = getattr(self._fs, f"_{method}", None)
        if not self._fs.async_impl or work is None:
            return plain
        from fsspec.asyn import sync

        return lambda *a, **k: sync(self._fs.loop, work, *a, timeout=seconds, **k)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # it is about a file of this machine
            raise refusal(self.url, error) from error


def _stat(info: Mapping[str, Any]) -> Stat:
    """Tags of S3 are MD5 sums, unless objects are encrypted with a key of one's own."""
    tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    checksum = tag if SUM.fullmatch(tag) else ""
    if "md5Hash" in info:
        checksum = base64.b64decode(info["md5Hash"]).hex()
    return Stat(int(info["size"]), checksum, tag)


def _checksum(path: Path, in_parts: bool) -> str:
    """MD5 of a file, or of an upload in parts: the MD5 of theirs, and how many there are."""
    with path.open("rb") as file:
        if not in_parts:
            return hashlib.file_digest(file, _md5).hexdigest()
        sums = [_md5(part).digest() for part in iter(lambda: file.read(PART), b"")]
    return f"{_md5(b''.join(sums)).hexdigest()}-{len(sums)}"


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)
