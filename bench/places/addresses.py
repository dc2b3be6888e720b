"""From the address of a folder on a store to the file system that fsspec has for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import UserError
from bench.places.refusals import GIVEN, refusal

CONNECT, READ = 5.0, 10.0
"""Seconds that a connection may take, and that an answer may be silent."""
STREAMS = 8
"""Transfers at once."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Extras of this package, by protocol."""
S3 = frozenset({"s3", "s3a"})
S3_OPTIONS: Mapping[str, Any] = {
    "max_concurrency": 4,
    "config_kwargs": {
        "connect_timeout": CONNECT,
        "read_timeout": READ,
        "max_pool_connections": 2 * STREAMS,
        "retries": {"total_max_attempts": 1},
    },
}


@dataclass(frozen=True)
class Address:
    """A folder on a store."""

    protocol: str
    path: str

    @property
    def shown(self) -> str:
        return f"{self.protocol}://{self.path}"

    @property
    def on_s3(self) -> bool:
        return self.protocol in S3

    @property
    def endpoint(self) -> str:
        """Two endpoints may have buckets of one name."""
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if self.on_s3 else ()
        return next(filter(None, map(os.environ.get, names)), "")


def parse(url: str) -> Address:
    """UserError for what names no folder of one store, and for secrets that others might read."""
    protocol, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    login, _, bucket = place.rpartition("@")
    secret = ":" in login
    whole = f"{bucket if secret else place}{slash}{path}"
    address = Address(protocol, whole.partition("?")[0].rstrip("/"))
    if "?" in whole or "::" in url or not (bucket or protocol == "memory"):
        raise UserError(
            f"{address.shown} is no folder of a store; give an address such as s3://BUCKET/FOLDER, "
            "without '?' and '::'."
        )
    if secret:
        raise UserError(
            f"The address {address.shown} came with a name and a secret, which others of this "
            f"machine can read there: leave them out, and {GIVEN}."
        )
    return address


def file_system(address: Address) -> tuple[Any, str]:
    """The file system of an address, and the path in it, without a slash at its end.

    UserError where the protocol is unknown, or its package is missing.
    """
    import fsspec

    _demand_package(address)
    own = S3_OPTIONS if address.on_s3 else {}
    options = {"skip_instance_cache": True, "use_listings_cache": False, **own}
    try:
        fs, root = fsspec.url_to_fs(address.shown, **options)
    except Exception as error:
        raise refusal(address.shown, error) from error
    if address.on_s3:
        fs.retries = 1  # what is tried again is tried again in one place
    return fs, root.rstrip("/")


def _demand_package(address: Address) -> None:
    import fsspec

    try:
        fsspec.get_filesystem_class(address.protocol)
    except ValueError as error:
        raise UserError(
            f"{address.shown} is on a kind of store that nothing here knows; give a folder, or an "
            "address such as s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."
        ) from error
    except ImportError as error:
        extra = EXTRAS.get(address.protocol)
        mend = f"pip install 'subjectbench[{extra}]'" if extra else str(error)
        raise UserError(f"{address.shown} needs a package that is not here: {mend}.") from error
