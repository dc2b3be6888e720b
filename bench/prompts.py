"""What the cases of a run ask: the template behind each prompt, and the kind it is of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.errors import UserError
from bench.results import RunResult
from bench.stats import Key
from bench.suites import Suite, load_suite, prompts_for, read_table, suite_folder

KINDS_FILE = "kinds.tsv"
"""Beside ``suite.toml``: columns ``prompt``, which is a template or a prompt's index, and ``kind``.

It is no part of what is frozen: kinds sort numbers that are there and change none.
"""


@dataclass(frozen=True)
class Prompts:
    """Templates and kinds as far as they are known."""

    templates: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """(subject, prompt index) to template."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Template, or index, to kind."""

    def prompt(self, key: Key) -> str:
        """What tells a case's prompt from others: its template, else its index."""
        subject, index, _ = key
        return self.templates.get((subject, index), f"prompt {index}")

    def kind(self, key: Key) -> str | None:
        """The kind of a case's prompt; None where the suite states none."""
        return self.kinds.get(self.prompt(key)) or self.kinds.get(str(key[1]))


def prompts_of(result: RunResult) -> Prompts:
    """Those of the suite that a run was asked; none where that suite is not here any more."""
    try:
        suite = load_suite(result.suite)
    except UserError:
        return Prompts()
    return read_prompts(suite) if suite.identity == result.suite_identity else Prompts()


def read_prompts(suite: Suite) -> Prompts:
    """Every subject's templates, and the kinds where the suite states them."""
    table = suite_folder(suite) / KINDS_FILE
    return Prompts(
        {
            (subject.directory, index): template
            for subject in suite.subjects
            for index, template in enumerate(prompts_for(suite, subject))
        },
        {row["prompt"]: row["kind"] for row in read_table(table)} if table.is_file() else {},
    )
