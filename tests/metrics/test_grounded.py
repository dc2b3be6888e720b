"""How often the subject was found."""

from dataclasses import dataclass

import pytest

from bench.metrics.grounded import Grounded


@dataclass(frozen=True)
class Looked:
    found: bool | None


def test_an_image_counts_when_its_subject_was_found() -> None:
    assert [Grounded().score(Looked(found)) for found in (True, False)] == [1.0, 0.0]


def test_where_nobody_looked_there_is_no_number() -> None:
    with pytest.raises(ValueError, match="a region that is looked for"):
        Grounded().score(Looked(None))
