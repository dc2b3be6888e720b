"""An S3 server of this machine's own, which can be made to fail, hang and drop connections."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest

Environ = dict[str, Any]
Fault = Callable[[Environ], str | None]
"""What goes wrong with a request: "403", "503", "hang", "drop", or nothing."""

SECRET = "wJalrXUtnFEMI-no-real-key"
BUCKET = "runs"


def no_fault(environ: Environ) -> str | None:
    """Nothing goes wrong."""
    return None


class Store:
    """Buckets in memory, and what was asked of them: ("PUT", "/runs/a.png"), listings as "LIST"."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._one_at_a_time = threading.Lock()
        self.asked: list[tuple[str, str]] = []
        self.fault: Fault = no_fault
        self.hangs = 30.0
        """Seconds that a request hangs which is made to."""
        self.address = ""

    def fresh(self) -> None:
        """One empty bucket, and nothing asked or going wrong."""
        backends = pytest.importorskip("moto.s3.models").s3_backends
        for account in list(backends.values()):
            account["aws"].reset()
        self.fault = no_fault
        client().create_bucket(Bucket=BUCKET)
        self.asked.clear()

    def count(self, method: str, within: str = "") -> int:
        return sum(asked == method and within in path for asked, path in self.asked)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        listing = environ["REQUEST_METHOD"] == "GET" and "list-type" in environ["QUERY_STRING"]
        self.asked.append(("LIST" if listing else environ["REQUEST_METHOD"], path))
        fault = self.fault(environ)
        if fault in {"403", "503"}:
            start_response(f"{fault} Not Now", [("Content-Length", "0")])
            return [b""]
        if fault == "hang":
            time.sleep(self.hangs)
        if fault:
            raise ConnectionAbortedError
        # Conditions are looked at and objects written in one step, as real stores do it.
        with self._one_at_a_time:
            return list(self._application(environ, start_response))


@contextmanager
def serving() -> Iterator[Store]:
    """A server with one empty bucket, which this process and its children find by themselves."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.moto_server.werkzeug_app")
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *arguments: Any) -> None:
            pass

    store = Store(moto.DomainDispatcherApplication(moto.create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    store.address = f"http://127.0.0.1:{server.server_port}"
    with patch.dict("os.environ", surroundings(store.address)):
        store.fresh()
        try:
            yield store
        finally:
            server.shutdown()
            server.server_close()


def surroundings(address: str) -> dict[str, str]:
    """What tells S3's clients where the server is, and who asks."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def client() -> Any:
    """The store as its owner sees it, by another way than the one under test."""
    return _client(os.environ["AWS_ENDPOINT_URL"])


@cache
def _client(address: str) -> Any:
    boto3 = pytest.importorskip("boto3")
    login = {"aws_access_key_id": "tester", "aws_secret_access_key": SECRET}
    return boto3.client("s3", endpoint_url=address, region_name="us-east-1", **login)


def objects() -> dict[str, bytes]:
    """All that is in the bucket."""
    found = client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {
        each["Key"]: client().get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
        for each in found
    }
