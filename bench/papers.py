"""Published tables: what a paper prints, how its rows are run here, and what it claims.

One file per paper, ``leaderboards/papers/<name>.toml``. Nothing in this package writes there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from bench.api import Frozen, Later
from bench.curves import Curve
from bench.documents import MALFORMED, toml_of
from bench.errors import UserError, unknown
from bench.options import parse_pairs
from bench.paths import leaderboards_folder

PAPERS = "papers"
"""The folder of the published tables among the leaderboards."""

Setting = bool | int | float | str
Guided = Mapping[str, Mapping[str, Mapping[str, Setting]]]
"""Backbone to rule of guidance to the settings that it has there unless a row says others."""
Better = Literal["higher", "lower", "neither"]
ARROWS: dict[Better, str] = {"higher": " ↑", "lower": " ↓", "neither": ""}


class PublishedMetric(Frozen):
    """A column; its name is that of the metric here, where there is one."""

    label: str
    better: Better = "higher"
    digits: int = Field(3, ge=0)
    """As many as are printed after the point; a table may have its own."""

    @property
    def head(self) -> str:
        """The label, and an arrow that points to what is better."""
        return self.label + ARROWS[self.better]

    def printed(self, value: float | str) -> str:
        """A figure with the metric's digits, or with more where it has more."""
        if isinstance(value, str):
            return value
        short = f"{value:.{self.digits}f}"
        return short if float(short) == value else repr(value)


class Recipe(Later):
    """How a row is run here."""

    later = frozenset({"guidance", "guided"})

    method: str
    backbone: str | None = None
    """On the table's own suite; default: the suite's."""
    set: dict[str, Setting] = Field(default_factory=dict)
    on: dict[str, dict[str, Setting]] = Field(default_factory=dict)
    """Backbone to options that it needs besides."""
    guidance: str | None = None
    guided: dict[str, str] = Field(default_factory=dict)
    """Backbone to the guidance that stands for it there."""

    def rule(self, backbone: str) -> str | None:
        """The guidance; None for none of the row's own."""
        return self.guided.get(backbone, self.guidance)

    def options(self, backbone: str) -> dict[str, str]:
        """The options as they are written on the command line."""
        given = {**self.set, **self.on.get(backbone, {})}
        return {key: _written(value) for key, value in given.items()}

    def words(self, backbone: str) -> str:
        """The method, its options and its guidance."""
        options = (f"{key}={value}" for key, value in self.options(backbone).items())
        rule = self.rule(backbone)
        return " ".join([self.method, *options, *([f"under {rule}"] if rule else [])])


class PublishedRow(Later):
    """A line of a table as printed, and how it is run here."""

    later = frozenset({"published"})

    label: str
    model: str | None = None
    """The generator, as printed."""
    values: tuple[float | Literal["-"], ...] = ()
    """One per metric, "-" where none is printed; empty where values are only plotted."""
    copied_from: str | None = None
    """The paper that the figures were taken over from, where that is known."""
    note: str | None = None
    run: Recipe | None = None
    published: bool = True
    """False for a row that the paper does not have and that is only run here, for comparison."""


class Claim(Frozen):
    """That one row lies above another in a metric, or that the two do not differ.

    ``higher`` and ``lower`` are about the number, whichever direction is better.
    """

    id: str
    words: str
    metric: str
    higher: str | None = None
    lower: str | None = None
    equal: tuple[str, str] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        ordering = self.higher is not None and self.lower is not None
        if ordering == (self.equal is not None) or (self.higher is None) != (self.lower is None):
            raise ValueError("give 'higher' and 'lower', or 'equal'")
        return self

    @property
    def sides(self) -> tuple[str, str]:
        """The labels of the two rows, the higher one first."""
        return self.equal or (str(self.higher), str(self.lower))


class PublishedTable(Later):
    """A table, or the figure that stands for one."""

    later = frozenset({"curve"})

    paper: str
    id: str
    title: str
    suite: str | None = None
    """What it was measured on, where that is a suite here."""
    protocol: str | None = None
    """The suite's protocol that asks and scores as the paper says."""
    metrics: dict[str, PublishedMetric]
    rows: tuple[PublishedRow, ...] = Field(min_length=1)
    claims: tuple[Claim, ...] = ()
    note: str | None = None
    command: str | None = None
    """What runs it here, where its rows are no runs of a benchmark."""
    curve: Curve | None = None
    """Where the table is also drawn."""

    @property
    def key(self) -> str:
        """``paper/table``."""
        return f"{self.paper}/{self.id}"

    @property
    def substance(self) -> dict[str, Any]:
        """All but the words about it, and how it is drawn: figures, recipes and claims."""
        rows = [row.model_dump(exclude={"note", "copied_from"}) for row in self.rows]
        claims = [claim.model_dump(exclude={"words"}) for claim in self.claims]
        rest = self.model_dump(exclude={"title", "note", "command", "curve", "rows", "claims"})
        return {**rest, "rows": rows, "claims": claims}

    @property
    def runnable(self) -> tuple[PublishedRow, ...]:
        """The rows that say how they are run here."""
        return tuple(row for row in self.rows if row.run)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        labels = _distinct("row", [row.label for row in self.rows])
        _distinct("claim", [claim.id for claim in self.claims])
        for row in self.rows:
            if len(row.values) not in (0, len(self.metrics)):
                raise ValueError(
                    f"the row '{row.label}' has {len(row.values)} values for "
                    f"{len(self.metrics)} metrics"
                )
            if row.values and not row.published:
                raise ValueError(f"the row '{row.label}' is not published and has figures")
        printed = {row.label for row in self.rows if row.published}
        for claim in self.claims:
            if claim.metric not in self.metrics:
                raise ValueError(f"the claim '{claim.id}' is about no metric of the table")
            for label in set(claim.sides) - printed:
                raise ValueError(f"the claim '{claim.id}' names no printed row: '{label}'")
        if self.curve:
            self.curve.require(self.metrics, labels)
        return self


class Paper(Frozen):
    """A paper's tables."""

    name: str
    title: str
    source: str
    tables: tuple[PublishedTable, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _distinct("table", [table.id for table in self.tables])
        return self

    def table(self, name: str) -> PublishedTable:
        """The table of this id. UserError, naming the nearest, when there is none."""
        tables = {table.id: table for table in self.tables}
        if name not in tables:
            raise unknown(f"table of {self.name}", name, tables)
        return tables[name]


def list_papers() -> list[Paper]:
    """Every paper, by name. UserError for one that cannot be read."""
    return [read_paper(path) for _, path in sorted(_files().items())]


def load_paper(name: str) -> Paper:
    """The paper of this name. UserError when there is none or it cannot be read."""
    files = _files()
    if name not in files:
        raise unknown("paper", name, files)
    return read_paper(files[name])


def load_table(key: str) -> PublishedTable:
    """The table ``paper/table``. UserError when there is none or it cannot be read."""
    paper, slash, table = key.partition("/")
    if not slash:
        raise UserError(
            f"'{key}' names no table: write it as PAPER/TABLE; 'bench reproduce --list' names all."
        )
    return load_paper(paper).table(table)


def read_paper(path: Path) -> Paper:
    """The paper in a file, checked. UserError naming the file and the place that is wrong."""
    try:
        return _parse(path.stem, toml_of(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The paper {path} is wrong at '{where}': {first['msg']}.") from error
    except MALFORMED as error:
        raise UserError(f"The paper {path} cannot be read: {error}.") from error


def _parse(name: str, stated: dict[str, Any]) -> Paper:
    """What a paper says once is given to each of its tables."""
    metrics, guided = stated.pop("metrics"), stated.pop("guided", {})
    tables = []
    for table in stated.pop("tables"):
        chosen = _chosen(metrics, table, table.pop("digits", {}))
        rows = [_guided(row, guided) for row in table["rows"]]
        tables.append({**table, "paper": name, "metrics": chosen, "rows": rows})
    return Paper.model_validate({**stated, "name": name, "tables": tables})


def _chosen(
    metrics: Mapping[str, Any], table: Mapping[str, Any], digits: Mapping[str, int]
) -> dict[str, Any]:
    """The definitions of the metrics that a table names, with its own digits."""
    for metric in [*table["metrics"], *digits]:
        if metric not in metrics or metric not in table["metrics"]:
            raise ValueError(f"{table['id']} has the unknown metric '{metric}'")
    own = {metric: {"digits": count} for metric, count in digits.items()}
    return {metric: {**metrics[metric], **own.get(metric, {})} for metric in table["metrics"]}


def _guided(row: dict[str, Any], guided: Guided) -> dict[str, Any]:
    """A row whose guidance says all of its settings, those of each backbone apart."""
    recipe = row.get("run", {})
    if not (said := recipe.get("guidance")):
        return row
    full = {backbone: _full(said, rules) for backbone, rules in guided.items()}
    own = full.get(recipe.get("backbone"), said)
    others = {backbone: rule for backbone, rule in full.items() if rule != own}
    told = {"guidance": own, "guided": {**others, **recipe.get("guided", {})}}
    return {**row, "run": {**recipe, **told}}


def _full(rule: str, rules: Mapping[str, Mapping[str, Setting]]) -> str:
    """A rule with the settings that it leaves open; one number says its first."""
    kind, _, said = rule.partition(":")
    if kind not in rules or (said and "=" not in said):
        return rule
    settings = {**rules[kind], **parse_pairs(said.split(",") if said else [])}
    return ":".join([kind, ",".join(f"{key}={value}" for key, value in settings.items())])


def _files() -> dict[str, Path]:
    return {path.stem: path for path in (leaderboards_folder() / PAPERS).glob("*.toml")}


def _distinct(kind: str, names: list[str]) -> set[str]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two have one name: the {kind} '{twice[0]}'")
    return set(names)


def _written(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
