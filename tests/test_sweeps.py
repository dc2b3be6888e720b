"""A sweep is many runs from one file, a list or a grid of combinations; none is made twice."""

from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.sweeps import Entry, jobs_of, labels, read_sweep
from tests.commands import here, json_here, refusal_here

ONE = '[[run]]\nmethod = "noise"\nsuite = "mini"\n'
SMALL = '[defaults]\nsuite = "mini"\nlimit_subjects = 2\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "sweep.toml"
    file.write_text(text, encoding="utf-8")
    return file


def entries(folder: Path, text: str) -> list[Entry]:
    return read_sweep(written(folder, text))


class TestTheFile:
    def test_defaults_hold_for_all_that_do_not_say_otherwise(self, tmp_path: Path) -> None:
        text = """
            [defaults]
            suite = "mini"
            seeds = 2
            options = { steps = 4, lr = 0.1 }
            [[run]]
            method = "sft-base"
            [[run]]
            method = "sfo"
            seeds = 1
            options = { steps = 9 }
        """
        first, second = entries(tmp_path, text)
        assert (first.method, first.seeds, first.options) == (
            "sft-base",
            2,
            {"steps": 4, "lr": 0.1},
        )
        assert (second.seeds, second.options) == (1, {"steps": 9, "lr": 0.1})

    def test_a_grid_is_every_combination_of_what_its_lists_hold(self, tmp_path: Path) -> None:
        text = (
            SMALL
            + """
            [[grid]]
            method = ["sfo", "self-play"]
            guidance = "cfg:3"
            options = { beta = [1, 10], iterations = 60 }
        """
        )
        found = entries(tmp_path, text)
        assert [(one.method, one.options["beta"]) for one in found] == [
            ("sfo", 1),
            ("sfo", 10),
            ("self-play", 1),
            ("self-play", 10),
        ]
        assert {(one.guidance, one.options["iterations"]) for one in found} == {("cfg:3", 60)}

    @given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    def test_a_grid_has_as_many_runs_as_the_product_of_its_lists(self, lengths: list[int]) -> None:
        axes = ", ".join(f"o{k} = {list(range(n))}" for k, n in enumerate(lengths))
        text = f'[[grid]]\nmethod = "sfo"\nsuite = "mini"\noptions = {{ {axes} }}\n'
        with TemporaryDirectory() as folder:
            found = entries(Path(folder), text)
        assert len(found) == len({str(one.options) for one in found}) == prod(lengths)

    def test_options_are_spelled_as_after_set(self, tmp_path: Path) -> None:
        [one] = entries(tmp_path, ONE + 'options = { steps = 4, simplify = false, lr = "1e-3" }')
        assert one.request.options == {"steps": "4", "simplify": "false", "lr": "1e-3"}

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("[[runs]]\n", "holds 'runs', which is no part of a sweep"),
            ("", r"names no run: add a \[\[run\]\] or a \[\[grid\]\] table"),
            ("[defaults]\n", "names no run"),
            ("run = 3\n", r"'run' must be a table; write it as \[\[run\]\]"),
            ("[[run]]\nmethod = ", "cannot be read as TOML"),
            (ONE + "beta = 3\n", "Run 1 of .* does not fit: 'beta': Extra inputs"),
            (ONE + 'seeds = "many"\n', "Run 1 of .* does not fit: 'seeds': Input should be"),
            (ONE + ONE + "options = 3\n", "Run 2 of .*'options' must be a table"),
            ('[[run]]\nsuite = "mini"\n', "Run 1 of .* does not fit: 'method': Field required"),
        ],
    )
    def test_what_is_wrong_with_it_is_one_sentence_that_names_it(
        self, tmp_path: Path, text: str, sentence: str
    ) -> None:
        with pytest.raises(UserError, match=sentence) as refused:
            entries(tmp_path, text)
        assert str(tmp_path / "sweep.toml") in str(refused.value)

    def test_a_grid_of_more_runs_than_anybody_means_is_refused_before_it_is_spelled_out(
        self, tmp_path: Path
    ) -> None:
        axes = ", ".join(f"o{k} = {list(range(100))}" for k in range(5))
        text = f'[[grid]]\nmethod = "sfo"\nsuite = "mini"\noptions = {{ {axes} }}\n'
        with pytest.raises(UserError, match="more than 10000 runs; split the grid"):
            entries(tmp_path, text)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"There is no file .*none\.toml"):
            read_sweep(tmp_path / "none.toml")


class TestLabels:
    def test_they_say_in_what_runs_of_a_method_differ(self, tmp_path: Path) -> None:
        text = (
            SMALL
            + """
            [[run]]
            method = "text-only"
            [[grid]]
            method = "sfo"
            guidance = ["cfg:3", "pg"]
            options = { beta = [1, 10], iterations = 60 }
        """
        )
        assert labels(entries(tmp_path, text)) == [
            "text-only",
            "sfo cfg:3 beta=1",
            "sfo cfg:3 beta=10",
            "sfo pg beta=1",
            "sfo pg beta=10",
        ]

    def test_equal_runs_are_told_by_their_numbers(self, tmp_path: Path) -> None:
        assert labels(entries(tmp_path, ONE + ONE)) == ["noise #1", "noise #2"]


class TestJobs:
    def test_runs_that_come_to_one_plan_are_made_once(self, tmp_path: Path) -> None:
        text = (
            ONE + '[[run]]\nmethod = "noise"\nsuite = "mini@1"\nprotocol = "headline"\nseeds = 1\n'
        )
        [job] = jobs_of(entries(tmp_path, text))
        assert job.plan.method == "noise"

    def test_runs_that_are_held_against_other_images_are_two(self, tmp_path: Path) -> None:
        text = ONE + 'vanilla = "one"\n' + ONE + 'vanilla = "other"\n'
        found = [job.vanilla for job in jobs_of(entries(tmp_path, text))]
        assert found == [Path("one"), Path("other")]

    def test_they_go_to_folders_below_one_root(self, tmp_path: Path) -> None:
        assert jobs_of(entries(tmp_path, ONE), "s3://bucket/all")[0].root == "s3://bucket/all"

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ('method = "nois"', "Unknown method 'nois': did you mean noise"),
            ('method = "noise"\noptions = { bta = 1 }', "Unknown option of noise 'bta'"),
            ('method = "noise"\nguidance = "pg"', "no guidance can be put on"),
        ],
    )
    def test_what_a_run_cannot_be_is_said_as_bench_run_says_it(
        self, tmp_path: Path, change: str, sentence: str
    ) -> None:
        with pytest.raises(UserError, match=sentence):
            jobs_of(entries(tmp_path, f'[[run]]\nsuite = "mini"\n{change}\n'))


class TestTheCommand:
    def test_it_makes_every_run_and_tells_what_each_came_to(self, tmp_path: Path) -> None:
        file = written(tmp_path, SMALL + '[[grid]]\nmethod = ["noise", "copy-reference"]\n')
        noise, copied = json_here("sweep", file, "-o", tmp_path / "runs", home=tmp_path / "home")
        assert (noise["label"], copied["label"]) == ("noise", "copy-reference")
        assert copied["metrics"]["dino"]["mean"] > noise["metrics"]["dino"]["mean"]
        for told in (noise, copied):
            assert told["metrics"]["dino"]["n"] == 12
            assert (Path(told["run"]) / "rows.parquet").is_file()
            assert Path(told["run"]).is_relative_to(tmp_path / "runs")

    def test_a_run_that_fails_is_named_and_stops_no_other(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        text = f"""
            [[run]]
            method = "external"
            options = {{ images = "{tmp_path / "images"}" }}
            [[run]]
            method = "noise"
        """
        file, home = written(tmp_path, SMALL + text), tmp_path / "home"
        sentence = refusal_here("sweep", file, "-o", tmp_path / "runs", home=home)
        assert sentence.startswith("external: ")
        [rows] = (tmp_path / "runs").rglob("rows.parquet")
        assert rows.parent.name.startswith("noise-")
        done = here("sweep", file, "-o", tmp_path / "runs", "--json", home=home)
        assert done.returncode == 2 and '"failed"' in done.stdout

    def test_a_dry_run_makes_nothing(self, tmp_path: Path) -> None:
        file = written(tmp_path, SMALL + '[[grid]]\nmethod = ["noise", "copy-reference"]\n')
        out = tmp_path / "runs"
        assert json_here("sweep", file, "-o", out, "--dry-run", home=tmp_path / "home")
        assert not out.exists()
