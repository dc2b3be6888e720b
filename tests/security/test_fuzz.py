"""Whatever a file holds, it is read, or refused in one sentence, and soon."""

import csv
import io
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench import official, own, pictures
from bench.board import check as check_boards
from bench.claims import read_claims
from bench.expected import read_expected
from bench.folder import check, index
from bench.kept_pairs import list_pairs
from bench.made import shown_by
from bench.methods.pair_folder import PairFolder
from bench.outcomes import read_outcome
from bench.papers import read_paper
from bench.paths import datasets_folder, leaderboards_folder
from bench.plan import make_cases
from bench.protocols import load_protocol, read_protocol
from bench.ratings import Rating, read_scores
from bench.results import read_measured, read_result, read_rows
from bench.study.analysis import analyse
from bench.study.crowd_results import import_results
from bench.study.database import opened, settings_of
from bench.study.raters import tokens, view
from bench.suites import load_suite, read_suite
from tests.security.mutations import STRANGE, damaged, refused_or_read, toml_lines, twisted
from tests.study.studies import write_study

FEW = settings(
    max_examples=40,
    deadline=10_000,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""No shrinking: what fails is small already, and a fault must not take minutes to be told."""
SUITE = load_suite("mini@1")
PROTOCOL = load_protocol(SUITE)
CASES = make_cases(SUITE, PROTOCOL, SUITE.subjects, 1)
BOARD = leaderboards_folder() / "mini/1"
ROW = sorted((BOARD / "measured").glob("[!.]*"))[0]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


def written(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


class TestRunsOfStrangers:
    document: Any = json.loads((ROW / "row.json").read_text())

    @FEW
    @given(twisted(document).map(as_json) | damaged(as_json(document)))
    def test_row(self, place: Path, content: bytes) -> None:
        refused_or_read(lambda: read_result(written(place / "row.json", content)))

    @FEW
    @given(st.data())
    def test_rows(self, place: Path, data: st.DataObject) -> None:
        few, buffer = pq.read_table(ROW / "rows.parquet").slice(0, 8), io.BytesIO()
        pq.write_table(few, buffer)
        content = data.draw(damaged(buffer.getvalue()))
        refused_or_read(lambda: read_rows(written(place / "rows.parquet", content)))

    @FEW
    @given(
        twisted(
            {
                "identity": "0" * 64,
                "specification": {
                    "suite": "mini@1",
                    "protocol": PROTOCOL.key,
                    "method": "copy-reference",
                    "method_revision": 1,
                    "options": {},
                    "seeds": 1,
                },
            }
        ).map(as_json)
        | st.binary(max_size=40)
    )
    def test_manifest(self, place: Path, content: bytes) -> None:
        written(place / "manifest.json", content)
        refused_or_read(lambda: shown_by(place, SUITE))

    @FEW
    @given(st.data())
    def test_board(self, place: Path, data: st.DataObject) -> None:
        target = place / "mini/1/measured" / ROW.name
        shutil.copytree(ROW, target, dirs_exist_ok=True)
        written(target / "row.json", data.draw(twisted(self.document).map(as_json)))
        refused_or_read(lambda: check_boards(place))
        refused_or_read(lambda: read_measured(target))


LINE: Any = {"image": "a.png", "subject": CASES[0].subject, "prompt": "0", "seed": 0}


class TestManifestsOfImages:
    @FEW
    @given(st.lists(twisted(LINE), max_size=3), st.booleans())
    def test_lines(self, place: Path, lines: list[Any], as_table: bool) -> None:
        name, content = "m.jsonl", "\n".join(map(json.dumps, lines))
        if as_table:
            buffer = io.StringIO()
            writer = csv.writer(buffer)
            writer.writerow(LINE)
            writer.writerows(list(one.values()) for one in lines if isinstance(one, dict))
            name, content = "m.csv", buffer.getvalue()
        refused_or_read(lambda: check(index(written(place / name, content), CASES)))

    @FEW
    @given(damaged(b"image,subject,prompt,seed\na.png,x,0,0\n"), st.sampled_from(["csv", "jsonl"]))
    def test_bytes(self, place: Path, content: bytes, kind: str) -> None:
        refused_or_read(lambda: read_claims(written(place / f"m.{kind}", content)))


def shipped(relative: str) -> bytes:
    return (datasets_folder() / relative).read_bytes()


class TestSuitesAndBoards:
    @FEW
    @given(st.data())
    def test_suite(self, place: Path, data: st.DataObject) -> None:
        folder = place / "vico/1"
        shutil.copytree(datasets_folder() / "vico/1", folder, dirs_exist_ok=True)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        file = data.draw(st.sampled_from(files))
        written(file, data.draw(damaged(file.read_bytes()) | STRANGE.map(repr).map(str.encode)))
        refused_or_read(lambda: read_suite(folder))
        shutil.rmtree(folder)

    @FEW
    @given(damaged(shipped("mini/1/suite.toml")) | toml_lines())
    def test_suite_file(self, place: Path, content: bytes) -> None:
        folder = place / "mini/1"
        shutil.copytree(datasets_folder() / "mini/1", folder, dirs_exist_ok=True)
        written(folder / "suite.toml", content)
        refused_or_read(lambda: read_suite(folder))

    @FEW
    @given(damaged(shipped("mini/1/protocols/headline@1.toml")) | toml_lines())
    def test_protocol(self, place: Path, content: bytes) -> None:
        refused_or_read(lambda: read_protocol(SUITE, written(place / "a@1.toml", content)))

    @FEW
    @given(st.data())
    def test_paper(self, place: Path, data: st.DataObject) -> None:
        whole = (leaderboards_folder() / "papers/sfo.toml").read_bytes()
        content = data.draw(damaged(whole) | toml_lines())
        refused_or_read(lambda: read_paper(written(place / "p.toml", content)))
        refused_or_read(lambda: read_expected(written(place / "p.toml", content)))

    @FEW
    @given(st.data())
    def test_outcome(self, place: Path, data: st.DataObject) -> None:
        whole = json.loads(sorted((BOARD / "reproduced").glob("*.json"))[0].read_text())
        content = data.draw(twisted(whole).map(as_json))
        refused_or_read(lambda: read_outcome(written(place / "o.json", content)))


def encoded(kind: str, **more: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((24, 16), 60).convert("RGB").save(buffer, format=kind, **more)
    return buffer.getvalue()


class TestImages:
    kinds = st.sampled_from([encoded(kind) for kind in pictures.FORMATS])

    @FEW
    @given(st.data())
    def test_bytes(self, place: Path, data: st.DataObject) -> None:
        content = data.draw(self.kinds.flatmap(damaged) | st.text().map(str.encode))
        path = written(place / "image.png", content)
        refused_or_read(lambda: pictures.inspect(path, content))
        refused_or_read(lambda: pictures.describe(path))
        refused_or_read(lambda: pictures.read(path))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a small study, without the log that SQLite keeps beside it."""
    path = write_study(tmp_path_factory.mktemp("study"))
    return path.read_bytes()


class TestStudies:
    @FEW
    @given(st.data())
    def test_file(self, place: Path, study: bytes, data: st.DataObject) -> None:
        page = data.draw(st.sampled_from((0, 4096, 4096, 8192)))
        content = data.draw(damaged(study[page : page + 4096]))
        path = written(place / "study.db", study[:page] + content + study[page + 4096 :])
        refused_or_read(lambda: analyse(path))
        refused_or_read(lambda: serve_nothing(path))

    @FEW
    @given(
        damaged(
            b"AssignmentStatus,WorkerId,Input.trial_1,Answer.fidelity_1,Answer.alignment_1\n"
            b"Approved,w,t,left,left\n"
        )
    )
    def test_crowd_results(self, place: Path, study: bytes, content: bytes) -> None:
        path = written(place / "study.db", study)
        refused_or_read(lambda: import_results(path, written(place / "results.csv", content)))


def serve_nothing(path: Path) -> None:
    """All that a server reads of a study before its first rater comes."""
    with opened(path) as connection:
        settings_of(connection)
        for token in tokens(connection):
            view(connection, token)


CONCEPT = {"class_prompt": "cup", "instance_data_dir": "./benchmark_dataset/cup"} | {
    "prompt_filename": "prompts/cup.txt"
}


class TestThingsToAdd:
    @FEW
    @given(twisted([CONCEPT]).map(as_json), st.text(max_size=20) | STRANGE.map(str))
    def test_download(self, place: Path, listed: bytes, prompts: str) -> None:
        for name, told in (("dataset", listed), ("dataset_multiconcept", b"[" + listed + b"]")):
            written(place / f"{name}.json", told)
        written(place / "prompts/cup.txt", prompts.encode("utf-8", "replace"))
        written(place / "benchmark_dataset/cup/0.png", encoded("PNG"))
        for suite in ("customconcept101", "customconcept101-multi"):
            refused_or_read(partial(official.read, suite, place))

    @FEW
    @given(st.binary(max_size=40) | STRANGE.map(str).map(str.encode), st.booleans())
    def test_suite_of_ones_own(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, prompts: bytes, bare: bool
    ) -> None:
        monkeypatch.setenv("SUBJECTBENCH_HOME", str(place / "home"))
        written(place / "mine/prompts.txt", prompts)
        written(place / "mine/cup/0.png", b"" if bare else encoded("PNG"))
        if refused_or_read(lambda: own.make("mine", place / "mine")):
            shutil.rmtree(place / "home")

    @FEW
    @given(damaged(b"uid,model,value\n1,a,0.5\n"))
    def test_scores(self, place: Path, content: bytes) -> None:
        ratings = {("1", "a"): {"x": Rating(1.0, 1.0)}}
        refused_or_read(lambda: read_scores(written(place / "scores.csv", content), ratings))

    pairs: ClassVar[Any] = {
        "corpus": "c",
        "backbone": "mini",
        "draws": 1,
        "specification": {"source": {"source": "cdns"}},
        "items": [{"index": 0}],
    }

    @FEW
    @given(twisted(pairs).map(as_json))
    def test_pairs(self, place: Path, content: bytes) -> None:
        written(place / "pairs/a/manifest.json", content)
        refused_or_read(lambda: list_pairs(place))
        refused_or_read(lambda: PairFolder(place / "pairs/a"))
