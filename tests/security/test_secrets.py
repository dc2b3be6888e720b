"""Tokens never get into an error, a log, a manifest, a row or a report."""

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import cli
from bench.data import download_for
from bench.errors import UserError
from bench.redaction import HIDDEN, printable, redacted
from bench.results import Environment
from tests.commands import here

SECRETS = {
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyz",
    "HUGGING_FACE_HUB_TOKEN": "plainlookingtoken",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLE",
    "MY_SERVICE_PASSWORD": "correct horse battery",
}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def leaked(text: str) -> list[str]:
    return [name for name, value in SECRETS.items() if value in text]


@pytest.mark.usefixtures("secrets")
class TestText:
    def test_holds_no_variable_that_is_a_secret(self) -> None:
        text = f"failed with {SECRETS}"
        assert leaked(text)
        assert not leaked(redacted(text))

    @pytest.mark.parametrize(
        "address",
        [
            "https://user:SESAME12@host/a.zip",
            "https://SESAME12@host/a.zip",
            "https://host/a?token=SESAME12&b=1",
            "https://host/a?b=1&X-Amz-Signature=SESAME12",
            "https://host/a?X-Amz-Credential=SESAME12/2026",
            "https://host/a?sv=1&sig=SESAME12",
            "Authorization: Bearer SESAME12",
        ],
    )
    def test_holds_no_secret_of_an_address(self, address: str) -> None:
        assert "SESAME12" not in redacted(f"({address})")
        assert "SESAME12" not in str(UserError(f"Cannot read {address}: try again."))

    def test_says_the_rest(self) -> None:
        told = redacted("https://user:pw123456@host/a.zip?revision=3&token=x (timed out)")
        assert told == f"https://{HIDDEN}@host/a.zip?revision=3&token={HIDDEN} (timed out)"

    def test_words_of_every_day_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
        assert redacted("this is false; mail a@b.c") == "this is false; mail a@b.c"

    @settings(deadline=None)
    @given(st.text())
    def test_is_the_same_when_it_is_redacted_again(self, text: str) -> None:
        assert redacted(redacted(text)) == redacted(text)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None)))
def test_an_error_does_nothing_to_a_terminal(text: str) -> None:
    shown = printable(text)
    assert "\x1b" not in shown and "\u202e" not in shown and "\r" not in shown
    shown.encode()


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of a server that says back all that it was sent, with an error."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403, f"no entry for {self.path} {SECRETS['HF_TOKEN']}")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("secrets")
def test_a_download_that_is_refused_names_no_token(refusing: str, tmp_path: Path) -> None:
    url = f"http://someone:SESAME12@{refusing}/a.zip?token=SESAME34"
    with pytest.raises(UserError) as refused:
        download_for("mini@1", url, tmp_path / "part", lambda *told: None, by_hand=url)
    assert "SESAME" not in str(refused.value) and not leaked(str(refused.value))


@pytest.mark.usefixtures("secrets")
def test_neither_does_a_hub_that_refuses(
    refusing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", f"http://user:SESAME12@{refusing}")
    done = here("weights", "fetch", "dino-vits16", home=tmp_path)
    assert done.returncode == 2
    assert not leaked(done.stdout + done.stderr)
    assert "SESAME" not in done.stdout + done.stderr


@pytest.mark.usefixtures("secrets")
def test_nor_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError(f"boom {os.environ['HF_TOKEN']}")
    cli.show_traceback(RuntimeError, error, None)
    assert "boom ***" in capsys.readouterr().err


@pytest.mark.usefixtures("secrets")
def test_nor_what_a_run_says_of_its_environment() -> None:
    assert not leaked(Environment.here("cpu", "float32").model_dump_json())


@pytest.mark.usefixtures("secrets")
def test_nor_any_file_of_a_run(tmp_path: Path) -> None:
    words = ("run", "--method", "noise", "--suite", "mini", "--limit-subjects", "1")
    done = here(*words, "--out", tmp_path / "run", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"manifest.json", "row.json", "log.jsonl"} <= {path.name for path in files}
    assert not leaked(done.stdout + done.stderr)
    assert not [path for path in files if leaked(path.read_bytes().decode("latin-1"))]
