"""Captions that are wrong about the subject: files of them, and a local model that writes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import UserError
from bench.methods.captions import QUERY, LocalCaptioner, read_captions, write_captions
from bench.methods.corpora import Triplet
from bench.methods.examples import choose
from tests.methods.tiny_vlm import save_tiny_vlm


def test_captions_are_read_by_index_and_the_last_of_one_index_counts(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    entries = [(3, "a blue mug"), (1, "ein grüner\u2028Krug"), (3, "a green mug")]
    lines = [json.dumps({"index": i, "caption": c}, ensure_ascii=False) for i, c in entries]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert read_captions(file) == {3: "a green mug", 1: "ein grüner\u2028Krug"}


@pytest.mark.parametrize(
    "line", ['{"index": 3, "capt', "", '{"index": 3}', '{"index": "x", "caption": "y"}', "[1, 2]"]
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "captions.jsonl"
    whole = '{"index": 1, "caption": "a blue mug"}\n'
    file.write_text(f"{whole}{line}\n{whole}")
    with pytest.raises(UserError, match=r"captions\.jsonl, line 2, is no caption; write \{"):
        read_captions(file)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "captions.jsonl"
    if content:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read the captions .*captions\.jsonl"):
        read_captions(file)


class Wrong:
    """Says a number of its own about every triplet; may be killed at one."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.seen: list[str] = []
        self.kill_at = kill_at

    def caption(self, triplet: Triplet) -> str:
        if len(self.seen) == self.kill_at:
            raise KeyboardInterrupt
        self.seen.append(triplet.prompt)
        return f"not {triplet.prompt}"


def test_each_triplet_gets_one_line(colours: Callable[..., Any], tmp_path: Path) -> None:
    out, corpus = tmp_path / "new" / "captions.jsonl", colours(8, 9)
    assert write_captions(Wrong(), corpus, [7, 2, 7], out) == 2
    assert read_captions(out) == {i: f"not {corpus[i].prompt}" for i in (7, 2)}
    assert [set(json.loads(line)) for line in out.read_text().splitlines()] == [
        {"index", "caption"}
    ] * 2


@pytest.mark.parametrize("torn", ["", '{"index": 5, "capt', '{"index": 5, "caption": "x"}'])
def test_a_killed_writing_goes_on_where_it_was(
    colours: Callable[..., Any], tmp_path: Path, torn: str
) -> None:
    out, corpus = tmp_path / "captions.jsonl", colours(8, 9)
    with pytest.raises(KeyboardInterrupt):
        write_captions(Wrong(kill_at=2), corpus, [7, 2, 5, 0], out)
    with out.open("a") as file:
        file.write(torn)
    later = Wrong()
    assert write_captions(later, corpus, [7, 2, 5, 0], out) == 2
    assert later.seen == [corpus[5].prompt, corpus[0].prompt]
    assert list(read_captions(out)) == [7, 2, 5, 0]


@pytest.mark.parametrize("index", [-1, 9])
def test_an_index_beyond_the_corpus_is_one_clear_sentence(
    colours: Callable[..., Any], tmp_path: Path, index: int
) -> None:
    with pytest.raises(UserError, match=f"has 9 triplets and none at {index}"):
        write_captions(Wrong(), colours(8, 9), [1, index], tmp_path / "captions.jsonl")


# --- a local model --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llava, saved and loaded as a real one is."""
    folder = tmp_path_factory.mktemp("vlm")
    save_tiny_vlm(folder)
    return folder


def triplet(level: int, prompt: str = "a mug in snow") -> Triplet:
    target = Image.linear_gradient("L").point(lambda v: abs(v - level)).convert("RGB")
    return Triplet(Image.new("RGB", (16, 16)), target, prompt, "a mug")


def test_a_model_answers_greedily_to_the_target_and_the_prompt(vlm: Path) -> None:
    first = LocalCaptioner(vlm)
    said = first.caption(triplet(0))
    assert said and said == LocalCaptioner(vlm).caption(triplet(0))
    assert said != first.caption(triplet(200))
    assert said != first.caption(triplet(0, "fish"))


def test_the_query_shows_the_prompt_and_asks_for_what_is_wrong() -> None:
    asked = QUERY.format(prompt="a mug in snow")
    assert "a mug in snow" in asked and "wrong on purpose" in asked and "short English" in asked


def test_a_folder_without_a_model_is_one_clear_sentence(vlm: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no image-text-to-text model .*no such folder"):
        LocalCaptioner(tmp_path / "none")
    with pytest.raises(UserError, match="holds no image-text-to-text model"):
        LocalCaptioner(tmp_path)


def test_a_model_without_a_chat_template_is_one_clear_sentence(tmp_path: Path) -> None:
    save_tiny_vlm(tmp_path, template=None)
    with pytest.raises(UserError, match="has no chat template; give one that has"):
        LocalCaptioner(tmp_path)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["pairs", "caption", *map(str, arguments)])


def test_the_command_captions_the_triplets_that_a_method_draws(vlm: Path, tmp_path: Path) -> None:
    out = tmp_path / "captions.jsonl"
    common = (vlm, "--corpus", "mini-world", "-o", out, "--json")
    done = run(*common, "--count", "2")
    assert json.loads(done.stdout) == {"file": str(out), "written": 2, "n": 2}
    assert list(read_captions(out)) == choose(12_000, 2, seed=0)
    done = run(*common, "--indices", f"{choose(12_000, 2, seed=0)[0]},3")
    assert json.loads(done.stdout)["written"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give --count or --indices"),
        (("--count", "1", "--indices", "3"), "and not both"),
        (("--indices", "3,x"), "no list of indices"),
    ],
)
def test_the_command_asks_which_triplets(
    vlm: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = run(vlm, "--corpus", "mini-world", *arguments)
    assert isinstance(done.exception, UserError) and sentence in str(done.exception)
