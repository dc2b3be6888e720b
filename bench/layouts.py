"""Where a suite's images lie in what the user has: a checkout, a plain folder, an archive."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bench.errors import UserError
from bench.paths import home
from bench.suites import Suite, read_table, suite_folder

HUB_COLUMNS = {"image", "subject"}
"""Of the hub's tables of photographs."""


def locate(suite: Suite, folder: Path) -> dict[str, Path]:
    """Every image of the suite to its place, which may be empty.

    The folder of subjects is ``folder`` or lies at most two below it, as in a checkout. Images
    that are not there are taken from the suite they were borrowed from, where that was added.
    """
    root = max(_folders(folder), key=lambda place: _held(suite, place))
    borrowed = _borrowed(suite)
    return {
        image.path: borrowed.get(image.path, root / image.path)
        if not (root / image.path).is_file()
        else root / image.path
        for image in suite.images
    }


def is_member_of(suite: Suite, name: str) -> bool:
    """Whether an archive's member is, by its name, one of the suite's images."""
    return "/".join(PurePosixPath(name).parts[-2:]) in {image.path for image in suite.images}


def refuse_parquet(suite: Suite, path: Path) -> None:
    """UserError for a table of the hub, whose photographs are not the files of the suite."""
    for table in _tables(path):
        _demand_columns(table)
        raise UserError(
            f"The photographs in {table} were compressed again for the hub and are not the files "
            f"of {suite.key}; nothing was added: get these with 'bench data fetch {suite.name}'."
        )


def _folders(folder: Path) -> list[Path]:
    """The folder itself first."""
    below = [path for path in sorted(folder.glob("*")) if path.is_dir()]
    deeper = [path for outer in below for path in sorted(outer.glob("*")) if path.is_dir()]
    return [folder, *below, *deeper]


def _held(suite: Suite, folder: Path) -> int:
    return sum((folder / image.path).is_file() for image in suite.images)


def _borrowed(suite: Suite) -> dict[str, Path]:
    table = suite_folder(suite) / "borrowed.tsv"
    rows = read_table(table) if table.is_file() else ()
    places = {
        row["path"]: home() / "data" / row["suite"].partition("@")[0] / row["path_there"]
        for row in rows
    }
    return {path: place for path, place in places.items() if place.is_file()}


def _tables(path: Path) -> Iterator[Path]:
    if path.suffix == ".parquet":
        yield path
    elif path.is_dir():
        yield from sorted((*path.glob("*.parquet"), *path.glob("data/*.parquet")))


def _demand_columns(table: Path) -> None:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import read_schema

    try:
        missing = sorted(HUB_COLUMNS - set(read_schema(table).names))
    except ArrowInvalid as error:
        raise UserError(
            f"{table} is no whole parquet file; nothing was added: download it again."
        ) from error
    if missing:
        raise UserError(
            f"{table} has no column {' and no column '.join(missing)}, so it is no table of "
            "photographs; nothing was added: name the official download."
        )
