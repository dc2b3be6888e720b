"""References are shown as they really look, and only where they are the frozen ones."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from bench.api import Subject
from bench.errors import UserError
from bench.references import image_folder, is_file_of, open_reference
from bench.suites import ImageFile, Suite, load_suite


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images are looked for in an empty home."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def suite_with(image: Image.Image, file: str, exif: Image.Exif | None = None) -> Suite:
    """A suite of one image that is on this machine."""
    digest = "0" * 64
    suite = Suite(
        name="tiny",
        version=1,
        title="One thing",
        source="files",
        default_backbone="mini",
        headline="headline",
        licence="CC0",
        citation="nobody",
        world=None,
        subjects=(
            Subject(
                directory="thing",
                class_noun="thing",
                descriptive_name="thing",
                live=False,
                references=(file,),
            ),
        ),
        prompts_object=("a {}",),
        prompts_live=(),
        images=(ImageFile(path=f"thing/{file}", sha256=digest, bytes=1),),
    )
    path = image_folder(suite) / "thing" / file
    path.parent.mkdir(parents=True)
    image.save(path, exif=exif or Image.Exif())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return suite.model_copy(
        update={"images": (ImageFile(path=f"thing/{file}", sha256=digest, bytes=1),)}
    )


def test_files_are_known_by_sha256_or_by_what_git_calls_them(tmp_path: Path) -> None:
    file = tmp_path / "hello.txt"
    file.write_bytes(b"hello\n")
    sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    blob = "git:ce013625030ba8dba906f756967f9e9ca394464a"
    assert is_file_of(sha256, file) and is_file_of(blob, file)
    file.write_bytes(b"hellp\n")
    assert not is_file_of(sha256, file) and not is_file_of(blob, file)


def test_photographs_are_shown_upright() -> None:
    lying = Image.new("RGB", (40, 20), "blue")
    lying.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored left is the real top
    suite = suite_with(lying, "a.png", exif)
    image = open_reference(suite, suite.subjects[0], "a.png")
    assert image.size == (20, 40)
    assert image.getpixel((10, 5)) == (255, 0, 0)
    assert image.getpixel((10, 35)) == (0, 0, 255)


def test_a_missing_data_set_says_how_to_get_it_how_large_it_is_and_its_licence() -> None:
    suite = load_suite("dreambench")
    with pytest.raises(UserError) as error:
        open_reference(suite, suite.subjects[0], "00.jpg")
    for part in ("bench data add dreambench DIR", "bench data fetch dreambench", "112 MB", "CC BY"):
        assert part in str(error.value)


def test_a_file_that_is_not_the_frozen_one_is_refused() -> None:
    suite = suite_with(Image.new("RGB", (4, 4)), "a.png")
    path = image_folder(suite) / "thing" / "a.png"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="bench data verify tiny"):
        open_reference(suite, suite.subjects[0], "a.png")


def test_a_reference_that_the_suite_does_not_have_is_named() -> None:
    suite = suite_with(Image.new("RGB", (4, 4)), "a.png")
    with pytest.raises(UserError, match=r"image of tiny@1 'thing/b\.png'"):
        open_reference(suite, suite.subjects[0], "b.png")
