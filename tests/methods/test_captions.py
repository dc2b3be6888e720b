"""Captions that are wrong about the subject: files of them."""

import json
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.methods.captions import read_captions


def test_captions_are_read_by_index_and_the_last_of_one_index_counts(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    entries = [(3, "a blue mug"), (1, "ein grüner Krug"), (3, "a green mug")]
    lines = [json.dumps({"index": i, "caption": c}, ensure_ascii=False) for i, c in entries]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert read_captions(file) == {3: "a green mug", 1: "ein grüner Krug"}


@pytest.mark.parametrize(
    "line", ['{"index": 3, "capt', "", '{"index": 3}', '{"index": "x", "caption": "y"}', "[1, 2]"]
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text('{"index": 1, "caption": "a blue mug"}\n' + line + "\n")
    with pytest.raises(UserError, match=r"captions\.jsonl, line 2, is no caption; write \{"):
        read_captions(file)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "captions.jsonl"
    if content:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read the captions .*captions\.jsonl"):
        read_captions(file)
