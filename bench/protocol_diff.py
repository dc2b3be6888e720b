"""What differs between two protocols, of one suite or of two."""

from collections.abc import Iterable, Iterator, Mapping

from bench.api import Frozen
from bench.protocols import Protocol
from bench.statements import Statement, in_words, statements
from bench.suites import Suite

Asked = tuple[Suite, Protocol]


class Difference(Frozen):
    """One field in words on either side; None on a side that has no such field or metric."""

    field: str
    a: str | None
    b: str | None
    ground_a: str | None = None
    """What it rests on there: a source, or why it was chosen."""
    ground_b: str | None = None


def differences(a: Asked, b: Asked) -> list[Difference]:
    """Every field that differs, names and descriptions aside; empty for equal protocols.

    A metric that one side alone has is one difference more. Input references are compared for the
    subjects that both suites have.
    """
    left, right = _shared(a, b), _shared(b, a)
    fields = dict.fromkeys((*left, *right))
    found = (_difference(field, left.get(field), right.get(field)) for field in fields)
    return [*(one for one in found if one), *_alone(a[1], b[1])]


def _shared(own: Asked, other: Asked) -> dict[str, Statement]:
    """The statements by field, without those of metrics that the other side lacks."""
    alone = {spec.key for spec in own[1].metrics} - {spec.key for spec in other[1].metrics}
    told = {statement.field: statement for statement in statements(*own)}
    told.pop("sampling", None)  # says that there is nothing to compare
    return {field: said for field, said in told.items() if field.rpartition(".")[0] not in alone}


def _difference(field: str, a: Statement | None, b: Statement | None) -> Difference | None:
    if a and b and a.each is not None and b.each is not None:
        return _of_photographs(a, b, a.each, b.each)
    if a and b and a.words == b.words:
        return None
    return _told(field, a, b, a.words if a else None, b.words if b else None)


def _of_photographs(
    a: Statement, b: Statement, files_a: Mapping[str, str], files_b: Mapping[str, str]
) -> Difference | None:
    both = [subject for subject in files_a if subject in files_b]
    differing = [subject for subject in both if files_a[subject] != files_b[subject]]
    if not differing:
        return None
    field = f"{a.field} of {len(differing)} of {len(both)} subjects"
    return _told(field, a, b, _listed(differing, files_a), _listed(differing, files_b))


def _listed(subjects: Iterable[str], files: Mapping[str, str]) -> str:
    return ", ".join(f"{subject} {files[subject]}" for subject in subjects)


def _told(
    field: str,
    a: Statement | None,
    b: Statement | None,
    words_a: str | None,
    words_b: str | None,
) -> Difference:
    return Difference(
        field=field,
        a=words_a,
        b=words_b,
        ground_a=a.ground if a else None,
        ground_b=b.ground if b else None,
    )


def _alone(a: Protocol, b: Protocol) -> Iterator[Difference]:
    """Metrics that one side alone has."""
    metrics_a, metrics_b = ({spec.key: spec for spec in side.metrics} for side in (a, b))
    for key in dict.fromkeys((*metrics_a, *metrics_b)):
        if key not in metrics_b:
            yield Difference(field=key, a=in_words(metrics_a[key]), b=None)
        elif key not in metrics_a:
            yield Difference(field=key, a=None, b=in_words(metrics_b[key]))
