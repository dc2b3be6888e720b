"""File names and manifests say what images show, or one sentence says what is wrong with them."""

import json
from pathlib import Path

import pytest

from bench.claims import Claim, read_claims
from bench.errors import UserError


def test_names_are_taken_apart_at_the_last_hyphen(tmp_path: Path) -> None:
    for name in ("dog/03-1.png", "dog/a well-fed dog-2.webp", "a dog-0.jpg", "dog/best.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    claims = {claim.path.name: claim for claim in read_claims(tmp_path)}
    assert claims["03-1.png"] == Claim(tmp_path / "dog/03-1.png", "dog", "03", 1)
    assert claims["a well-fed dog-2.webp"].prompt == "a well-fed dog"
    assert claims["a dog-0.jpg"].subject is None
    assert claims["best.png"].prompt == ""


@pytest.mark.parametrize("name", ["nowhere", "images.txt"])
def test_a_source_is_a_folder_or_a_manifest(tmp_path: Path, name: str) -> None:
    (tmp_path / "images.txt").touch()
    with pytest.raises(UserError, match=r"no folder .*\.csv or \.jsonl.*name the folder"):
        read_claims(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("image,subject,prompt\na.png,dog,0\n", r"Line 2 .* has no seed; every line needs image"),
        ("image,subject,prompt,seed\na.png,,,0\n", r"Line 2 .* has no subject and no prompt"),
        ("image,subject,prompt,seed\na.png,dog,0,x\n", r"Line 2 .* has the seed 'x'"),
    ],
)
def test_a_line_that_lacks_something_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(text)
    with pytest.raises(UserError, match=complaint):
        read_claims(manifest)


@pytest.mark.parametrize("content", [b"{not json}\n", b"[1, 2]\n", b"\xff\xfe\x00"])
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    manifest = tmp_path / "list.jsonl"
    manifest.write_bytes(content)
    with pytest.raises(UserError, match=r"list\.jsonl cannot be read .*one JSON object per line"):
        read_claims(manifest)


def test_numbers_in_json_and_in_csv_are_the_same(tmp_path: Path) -> None:
    row = {"image": "a.png", "subject": "dog", "prompt": 0, "seed": 0}
    (tmp_path / "list.jsonl").write_text(json.dumps(row) + "\n\n")
    (tmp_path / "list.CSV").write_text("seed,image,prompt,subject,note\n0,a.png,0,dog,nice\n")
    assert read_claims(tmp_path / "list.jsonl") == read_claims(tmp_path / "list.CSV")
    assert read_claims(tmp_path / "list.CSV") == [Claim(tmp_path / "a.png", "dog", "0", 0)]
