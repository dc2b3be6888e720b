"""``row.json`` and ``rows.parquet``: what goes in comes out, anything else is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from bench import results
from bench.api import Row
from bench.errors import UserError
from bench.results import (
    Environment,
    estimate,
    read_measured,
    read_result,
    read_rows,
    write_result,
    write_rows,
)

MakeRun = Callable[..., Path]


def row(value: float = 0.5, prompt_index: int = 0, metric: str = "dino") -> Row:
    return Row(
        subject="dog",
        prompt_index=prompt_index,
        prompt="a dog in a café",
        seed=2**40,
        metric=metric,
        value=value,
        image_sha256="0" * 64,
    )


ROWS = [row(0.1 + i / 7, i, metric) for i in range(5) for metric in ("dino", "clip_t")]


class TestRows:
    def test_come_back_sorted_and_to_the_last_bit(self, tmp_path: Path) -> None:
        write_rows(ROWS, tmp_path / "rows.parquet")
        back = read_rows(tmp_path / "rows.parquet")
        assert back == sorted(ROWS, key=lambda r: (r.prompt_index, r.metric))

    def test_are_the_same_bytes_in_any_order(self, tmp_path: Path) -> None:
        write_rows(ROWS, tmp_path / "a.parquet")
        write_rows(Random(1).sample(ROWS, len(ROWS)), tmp_path / "b.parquet")
        assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()

    def test_are_what_pandas_reads(self, tmp_path: Path) -> None:
        write_rows(ROWS, tmp_path / "rows.parquet")
        frame = pd.read_parquet(tmp_path / "rows.parquet")
        assert list(frame.columns) == list(Row.model_fields)
        assert frame["seed"].eq(2**40).all()

    def test_none_at_all_are_still_a_file_of_rows(self, tmp_path: Path) -> None:
        write_rows([], tmp_path / "rows.parquet")
        assert read_rows(tmp_path / "rows.parquet") == []

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_that_are_not_finite_are_refused_and_the_old_file_stays(
        self, tmp_path: Path, value: float
    ) -> None:
        path = tmp_path / "rows.parquet"
        write_rows(ROWS, path)
        with pytest.raises(UserError, match="dino of dog, prompt 0, seed 1099511627776 is"):
            write_rows([row(value)], path)
        assert len(read_rows(path)) == len(ROWS)
        assert list(tmp_path.iterdir()) == [path]

    def test_that_are_not_finite_in_a_file_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.Table.from_pylist([row(float("nan")).model_dump()]), path)
        with pytest.raises(UserError, match="is nan; a score must be finite"):
            read_rows(path)

    def test_that_score_one_image_twice_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="stands twice"):
            write_rows([row(0.1), row(0.2)], tmp_path / "rows.parquet")

    @pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1 cut off"])
    def test_in_a_damaged_file_are_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "rows.parquet"
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as Parquet"):
            read_rows(path)

    def test_cut_short_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        write_rows(ROWS, path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(UserError, match="cannot be read as Parquet"):
            read_rows(path)

    def test_with_other_columns_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        pd.DataFrame({"subject": ["dog"], "score": [0.5]}).to_parquet(path)
        with pytest.raises(UserError, match="columns subject, score instead of subject, prompt"):
            read_rows(path)

    def test_with_another_type_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        pd.DataFrame([row().model_dump() | {"value": "high"}]).to_parquet(path)
        with pytest.raises(UserError, match="bad row: value"):
            read_rows(path)


class TestResult:
    def test_comes_back_equal(self, make_run: MakeRun, tmp_path: Path) -> None:
        result = read_result(make_run("sfo") / "row.json")
        write_result(result, tmp_path / "row.json")
        assert read_result(tmp_path / "row.json") == result

    def test_keeps_the_order_of_its_metrics(self, make_run: MakeRun) -> None:
        assert list(read_result(make_run("sfo") / "row.json").metrics) == ["dino", "clip_t"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("schema_version", 2),
            ("kind", "published"),
            ("identity", "../../elsewhere"),
            ("method", "../sfo"),
            ("suite", "mini"),
            ("metrics", {}),
            ("surprise", 1),
        ],
    )
    def test_with_a_wrong_field_is_refused_by_its_name(
        self, make_run: MakeRun, field: str, value: object
    ) -> None:
        path = make_run("sfo") / "row.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
        with pytest.raises(UserError, match=f"row.json is no result of a run: {field}"):
            read_result(path)

    def test_with_a_mean_that_is_not_finite_is_refused(self, make_run: MakeRun) -> None:
        path = make_run("sfo") / "row.json"
        told = json.loads(path.read_text())
        told["metrics"]["dino"]["mean"] = float("nan")
        path.write_text(json.dumps(told))
        with pytest.raises(UserError, match=r"metrics\.dino\.mean"):
            read_result(path)

    def test_that_is_no_json_is_refused(self, make_run: MakeRun) -> None:
        path = make_run("sfo") / "row.json"
        path.write_text("{")
        with pytest.raises(UserError, match=r"row\.json is no result of a run: the file"):
            read_result(path)

    def test_cannot_be_changed(self, make_run: MakeRun) -> None:
        result = read_result(make_run("sfo") / "row.json")
        with pytest.raises(ValidationError):
            result.method = "other"


class TestMeasured:
    def test_values_are_by_subject_prompt_and_seed(self, make_run: MakeRun) -> None:
        run = read_measured(make_run("sfo", subjects=2, prompts=2))
        assert list(run.values("dino")) == [
            (f"subject-{subject}", prompt, 0) for subject in range(2) for prompt in range(2)
        ]

    def test_the_aggregate_follows_from_the_rows_alone(self, make_run: MakeRun) -> None:
        run = read_measured(make_run("sfo"))
        told = run.result.metrics["clip_t"]
        assert estimate(run.rows, "clip_t").model_dump().items() <= told.model_dump().items()

    @pytest.mark.parametrize("name", ["row.json", "rows.parquet"])
    def test_an_unfinished_run_is_refused(self, make_run: MakeRun, name: str) -> None:
        folder = make_run("sfo")
        (folder / name).unlink()
        with pytest.raises(UserError, match=f"has no {name}"):
            read_measured(folder)

    def test_rows_of_other_metrics_than_told_are_refused(self, make_run: MakeRun) -> None:
        folder = make_run("sfo")
        write_rows([row()], folder / "rows.parquet")
        with pytest.raises(UserError, match=r"tells of clip_t, dino but rows.parquet of dino"):
            read_measured(folder)


class TestEnvironment:
    def test_names_versions_without_importing_what_it_names(self) -> None:
        code = (
            "import sys; from bench.results import Environment;"
            "here = Environment.here('cpu', 'float32');"
            "assert 'torch' not in sys.modules; print(here.model_dump_json())"
        )
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        here = Environment.model_validate_json(told.stdout)
        assert here.packages["torch"].startswith("2.")
        assert "pytest" not in here.packages
        assert (here.device, here.dtype) == ("cpu", "float32")

    def test_a_package_inside_someone_elses_repository_reports_no_revision(
        self, tmp_path: Path
    ) -> None:
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        (tmp_path / "site-packages").mkdir()
        assert results._git_revision(tmp_path / "site-packages") is None

    def test_local_changes_show_in_the_revision(self, tmp_path: Path) -> None:
        git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
        (tmp_path / "file").write_text("committed")
        for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
            subprocess.run([*git, *command], check=True)
        clean = results._git_revision(tmp_path)
        (tmp_path / "file").write_text("changed")
        assert clean is not None and len(clean) == 40
        assert results._git_revision(tmp_path) == f"{clean}-dirty"
