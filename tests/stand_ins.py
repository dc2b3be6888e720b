"""Suites that are read from a download, with one made-up subject: their protocols need no more."""

from pathlib import Path

from bench.paths import datasets_folder
from bench.suites import ImageFile, Suite, parse_suite, prompts_for

TABLES = {
    "subjects": "directory\tclass_noun\tdescriptive_name\tlive\ncup\tcup\tcup\t0\n",
    "prompts": "directory\ttemplate\ncup\ta {}\n",
    "images": f"path\tsha256\tbytes\ncup/00\t{64 * '0'}\t1\ncup/01\t{64 * '1'}\t1\n",
}
UNSEEN = ImageFile(path="any/00", sha256=64 * "0", bytes=1)


def stand_in(name: str, folder: Path) -> Suite:
    """The suite ``name`` in version 1; tables that do not ship are written to ``folder``.

    Where names and prompts ship, the images to be edited do not: they are nowhere, but listed.
    """
    specified = datasets_folder() / name / "1"
    if (specified / "subjects.tsv").exists():
        suite = parse_suite(specified, specified)
        sources = {
            subject.directory: (UNSEEN,) * len(prompts_for(suite, subject))
            for subject in suite.subjects
        }
        return suite.model_copy(update={"sources": sources})
    for table, text in TABLES.items():
        (folder / f"{table}.tsv").write_text(text, encoding="utf-8")
    return parse_suite(specified, folder)
