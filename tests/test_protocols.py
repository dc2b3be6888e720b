"""Protocols are complete, frozen, and say what they are."""

import csv
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.protocols import MetricSpec, Protocol, list_protocols, load_protocol, read_protocol
from bench.suites import Suite, list_suites, load_suite, suite_folder
from tests.stand_ins import stand_in

UNO = Path(__file__).parents[1] / "../shared/data/dreambench/uno_single_reference.tsv"

GOLDEN = {
    ("dreambench@1", "class-noun@1"): (
        "1ee125dabee62f4a0273955d470e26c62c9b8b849edcce07566f62c863a9707d"
    ),
    ("dreambench@1", "custom-diffusion@1"): (
        "45a777c269c0f079ddb0f13e909f8f3fe089cc26626bf29046cd7c3b83c53a15"
    ),
    ("dreambench@1", "dreambench-plus-scorer@1"): (
        "7befa915d3ed77724b9d524d0fea6106a4af66c048408cc839294b0259d2d8ef"
    ),
    ("dreambench@1", "headline@1"): (
        "87b00a76e73f4e5e220ec17d5e92569fd0250c21ec8696b2e1fb516b1ba8ad74"
    ),
    ("dreambench@1", "kosmos-g@1"): (
        "59afa622ec5540ddf5e7b75f869aa6cc8faeaf4a9a69ac8e27c74dbbf8b466d7"
    ),
    ("dreambench@1", "mini@1"): (
        "23e7c481a4bf2f3c1f991bf8bdabb6afcd38f2eac76b2f77c4af6907681c925e"
    ),
    ("dreambench@1", "rpo@1"): ("68e2e41de45ef825cf1bb4839091026f1af3711fe5c8e261ce87c7f644408b02"),
    ("dreambench@1", "sfo@1"): ("9b2783467ba72076e5d3c2eca934314f5c0becac96c99707d5bf6ddaf5415347"),
    ("imagenhub-generation@1", "headline@1"): (
        "3d91073cc0b58bfcfba714a0649f68b3f5f74fe96af68d5924d7fb80d6f75a5a"
    ),
    ("imagenhub-generation@1", "siso@1"): (
        "32d8afdef4704df5328d394b78d29577f1eee73aa8e9ae5f5747e79cdd8736ff"
    ),
    ("imagenhub-generation@1", "siso@2"): (
        "70f55529bbe8ac705cf6aa54ff0eb4530157b71e7c2de27e3f7647bd551559d1"
    ),
    ("mini@1", "headline@1"): ("1a4ef4e195f3407e88b5283108a1255eb1135e0b4c346c7a71f941e6ccd8c4e5"),
    ("mini-edit@1", "headline@1"): (
        "8eb323e08a4d9d1734ad4bc726539a293e1c7256be8055f055214404880704a1"
    ),
    ("mini-edit-validation@1", "headline@1"): (
        "bd7ec30b73f849fe85afc0a211837e70f2eed95139fb7fd19ae5472f89609e4a"
    ),
    ("mini-validation@1", "headline@1"): (
        "44abdb5a00ab14fd03dbeff2b327efd9b76f1215dde138c9c8fcb21a308de62c"
    ),
    ("partiprompts@1", "headline@1"): (
        "8fdae2433d0db4ba30075c8cc303765efd8cfeab1945bfffdb71f1d7291bd506"
    ),
    ("vico@1", "dreammatcher@1"): (
        "91bb73bae7bc1eef5d0c1f1f4822b83c1ce5cecfb826d6edc1cd48d86a516cf4"
    ),
    ("vico@1", "headline@1"): ("182f4125b70aa7d5464ede0db0e0507f8390ddb04840d1b7b10b2fd28e9c28ba"),
}

OF_STAND_INS = {
    ("customconcept101", "headline@1"): (
        "7a18b3447f18ba904995b3480ab48f406725b803502ab9b5502013dee539896a"
    ),
    ("customconcept101", "official@1"): (
        "cd8fa92bde62e485c32bd1d28a9c2601443f6eb5d8d89ccc2d44f7d95fd2f0d1"
    ),
    ("customconcept101", "sfo@1"): (
        "f93eed9f075a8f3aee49957a61258f77dfbc69c9a87e74f33a7e0599c8ccce1f"
    ),
    ("dreambench-plus", "headline@1"): (
        "a0cfef53d69c2d73bda8d53751abefa216540db9e2b1fcd52e83bbf2232fc8d3"
    ),
    ("imagenhub-editing", "headline@1"): (
        "1509282cb5e9c8de6307d543cd1856d856800e0b5bc79e543f9ac8fa7623ef82"
    ),
    ("imagenhub-editing", "siso@1"): (
        "6088cdd1875a10ed749f2cb0554227e83007cff05e4e3a449b47711775e7aa92"
    ),
}
"""A protocol's identity names the subjects, so one that is downloaded has to be stood in for."""


@pytest.fixture
def dreambench() -> Suite:
    return load_suite("dreambench@1")


def all_protocols() -> list[tuple[Suite, Protocol]]:
    shipped = [suite for suite in list_suites() if suite.source != "download"]
    return [(suite, protocol) for suite in shipped for protocol in list_protocols(suite)]


def metrics_of(protocol: Protocol) -> list[tuple[str, str]]:
    return [(spec.metric, spec.encoder) for spec in protocol.metrics]


def test_the_protocols_are_the_ones_that_were_frozen() -> None:
    assert {(p.suite, p.key): p.identity for _, p in all_protocols()} == GOLDEN


@pytest.mark.parametrize("name", sorted({suite for suite, _ in OF_STAND_INS}))
def test_the_protocols_of_a_download_are_the_ones_that_were_frozen(
    name: str, tmp_path: Path
) -> None:
    frozen = {
        protocol: digest for (suite, protocol), digest in OF_STAND_INS.items() if suite == name
    }
    found = list_protocols(stand_in(name, tmp_path))
    assert {protocol.key: protocol.identity for protocol in found} == frozen


def test_without_a_name_the_headline_protocol_is_meant(dreambench: Suite) -> None:
    assert load_protocol(dreambench).key == "headline@1"
    assert load_protocol(dreambench) == load_protocol(dreambench, "headline@1")


def test_the_headline_of_dreambench(dreambench: Suite) -> None:
    protocol = load_protocol(dreambench)
    assert protocol.seeds == 4
    assert protocol.name_in_prompt == "descriptive_name"
    assert not protocol.mini_weights
    assert protocol.metrics == (
        MetricSpec(metric="dino", encoder="dino-vits16", references="all"),
        MetricSpec(metric="clip_i", encoder="clip-vitb32-openai", references="all"),
        MetricSpec(metric="clip_t", encoder="clip-vitb32-openai"),
    )


def test_class_noun_differs_from_the_headline_in_the_name_alone(dreambench: Suite) -> None:
    headline, other = load_protocol(dreambench), load_protocol(dreambench, "class-noun")
    changed = {"name": "class-noun", "name_in_prompt": "class_noun"}
    assert other == headline.model_copy(update={**changed, "description": other.description})


def test_mini_encoders_are_declared_and_nothing_else_declares_them() -> None:
    for _, protocol in all_protocols():
        networks = [encoder for _, encoder in metrics_of(protocol) if encoder != "pixels"]
        toys = [encoder.startswith("mini-") for encoder in networks]
        assert protocol.mini_weights == any(toys) == all(toys)


def test_the_mini_protocol_of_dreambench_says_it_is_no_result(dreambench: Suite) -> None:
    protocol = load_protocol(dreambench, "mini")
    assert "never a DreamBench result" in protocol.description
    assert metrics_of(protocol) == [
        ("dino", "mini-dino"),
        ("clip_i", "mini-clip"),
        ("clip_t", "mini-clip"),
    ]


@pytest.mark.parametrize("name", ["mini", "mini-validation"])
def test_mini_suites_are_given_the_upright_reference(name: str) -> None:
    protocol = load_protocol(load_suite(name))
    assert protocol.seeds == 1 and set(protocol.input_references.values()) == {"00.png"}


@pytest.mark.skipif(not UNO.exists(), reason="UNO's list is not here")
@pytest.mark.parametrize("name", [key[1] for key in GOLDEN if key[0] == "dreambench@1"])
def test_dreambench_inputs_are_the_ones_uno_fixed(dreambench: Suite, name: str) -> None:
    with UNO.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        fixed = {row["subject"]: row["reference_image"] for row in rows}
    assert load_protocol(dreambench, name).input_references == fixed


@pytest.mark.parametrize(
    ("suite", "protocol"), all_protocols(), ids=lambda value: value.key.replace("@", "-")
)
def test_every_subject_has_an_input_of_its_own(suite: Suite, protocol: Protocol) -> None:
    given = [subject.directory for subject in suite.subjects if subject.references]
    assert list(protocol.input_references) == given
    for subject in suite.subjects:
        reference = protocol.input_references.get(subject.directory)
        assert reference in (subject.references or (None,))


def test_every_headline_exists() -> None:
    for suite in list_suites():
        assert load_protocol(suite).name == suite.headline


def test_what_images_are_held_against_is_in_an_identity_only_where_it_is_not_photographs() -> None:
    plain = MetricSpec(metric="fid", encoder="inception-2015-tf")
    stated = MetricSpec(metric="fid", encoder="inception-2015-tf", against="references")
    against = MetricSpec(metric="fid", encoder="inception-2015-tf", against="vanilla")
    assert plain.identity == stated.identity != against.identity
    assert "against" not in plain.model_dump() and "against" in against.model_dump()


def test_an_unknown_protocol_is_answered_with_the_nearest_names(dreambench: Suite) -> None:
    with pytest.raises(UserError, match="protocol of dreambench@1 'headlin': did you mean headli"):
        load_protocol(dreambench, "headlin")
    with pytest.raises(UserError, match="'headline@3': did you mean headline@1"):
        load_protocol(dreambench, "headline@3")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("seeds = 4", 'seeds = "many"', "is wrong at 'seeds'"),
        ("seeds = 4", "seeds = 4\ncrop = true", "is wrong at 'crop'"),
        ('references = "all"', 'references = "some"', "is wrong at 'metrics.0.references'"),
        ("seeds = 4", "seeds = ", "cannot be read"),
        ('input_reference = "uno_inputs.tsv"\n', "", "cannot be read.*input_reference"),
        ("uno_inputs.tsv", "none.tsv", "cannot be read.*none.tsv"),
        ("uno_inputs.tsv", "05.jpg", "names no input reference for backpack_dog"),
        ("uno_inputs.tsv", "none", "names no input reference for backpack that dreambench@1 has"),
    ],
)
def test_a_wrong_protocol_is_one_clear_sentence(
    dreambench: Suite, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    folder = suite_folder(dreambench) / "protocols"
    (tmp_path / "uno_inputs.tsv").write_bytes((folder / "uno_inputs.tsv").read_bytes())
    text = (folder / "headline@1.toml").read_text()
    path = tmp_path / "headline@1.toml"
    path.write_text(text)
    assert read_protocol(dreambench, path) == load_protocol(dreambench)
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=complaint):
        read_protocol(dreambench, path)
