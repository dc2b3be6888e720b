"""What a study's database calls its trials, images and raters."""

from bench.study.database import opaque


def test_an_id_is_neither_a_formula_nor_an_option_nor_a_number() -> None:
    ids = {opaque() for _ in range(500)}
    assert len(ids) == 500
    assert all(one.isascii() and one.isalpha() and len(one) == 22 for one in ids)
