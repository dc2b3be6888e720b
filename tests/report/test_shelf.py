"""The shelf: each image once by its digest, as it is and as a thumbnail."""

from pathlib import Path
from random import Random

import pytest
from PIL import Image

from bench.errors import UserError
from bench.gallery import Picture
from bench.identity import file_digest
from bench.report.shelf import THUMBNAIL, Shelf


def image_file(path: Path, side: int = 4) -> Path:
    noise = Random(path.name).randbytes(side * side * 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.frombytes("RGB", (side, side), noise).save(path)
    return path


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def shelved(path: Path, folder: Path, link: bool = False) -> tuple[Path, Path]:
    """Where the thumbnail and the image of a file are found from a page in the folder."""
    shelf = Shelf(folder, link)
    assert shelf.file(path, file_digest(path)) == 0
    shelf.fill()
    thumbnail, full = shelf.addresses[0]
    return folder / thumbnail, folder / full


def test_an_image_is_kept_without_a_second_copy_where_the_disk_allows(tmp_path: Path) -> None:
    path = image_file(tmp_path / "run" / "a.png")
    _, full = shelved(path, tmp_path / "report")
    assert path.samefile(full)


def test_an_image_may_stay_where_it_is(tmp_path: Path) -> None:
    path = image_file(tmp_path / "run" / "a.png")
    thumbnail, full = shelved(path, tmp_path / "report", link=True)
    assert full.resolve() == path
    assert thumbnail.is_file()
    assert not (tmp_path / "report" / "images").exists()


def test_a_small_thumbnail_has_every_pixel_and_a_large_one_is_bounded(tmp_path: Path) -> None:
    small, large = image_file(tmp_path / "a.png"), image_file(tmp_path / "b.png", 2 * THUMBNAIL)
    assert opened(shelved(small, tmp_path / "report")[0]).tobytes() == opened(small).tobytes()
    assert opened(shelved(large, tmp_path / "report")[0]).size == (THUMBNAIL, THUMBNAIL)


def test_equal_digests_are_one_image(tmp_path: Path) -> None:
    path, other = image_file(tmp_path / "a.png"), image_file(tmp_path / "b.png")
    shelf = Shelf(tmp_path / "report")
    numbers = [shelf.file(one, file_digest(one)) for one in (path, other, path)]
    assert numbers == [0, 1, 0]
    assert len(shelf.addresses) == 2


def test_a_picture_that_is_no_file_is_kept_as_it_opens(tmp_path: Path) -> None:
    image = opened(image_file(tmp_path / "a.png"))
    shelf = Shelf(tmp_path / "report")
    shelf.picture(Picture("git:" + "0" * 40, lambda: image))
    shelf.fill()
    for address in shelf.addresses[0]:
        assert opened(tmp_path / "report" / address).tobytes() == image.tobytes()


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    thumbnail, _ = shelved(path, tmp_path / "report")
    before = thumbnail.stat().st_mtime_ns
    shelved(path, tmp_path / "report")
    assert thumbnail.stat().st_mtime_ns == before


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_is_not_the_one_that_was_scored_is_refused(tmp_path: Path, link: bool) -> None:
    path = image_file(tmp_path / "a.png")
    for scored in (file_digest(image_file(tmp_path / "b.png")), "0" * 64):
        shelf = Shelf(tmp_path / "report", link)
        shelf.file(path, scored)
        with pytest.raises(UserError, match=r"a\.png is not the one that was scored"):
            shelf.fill()
