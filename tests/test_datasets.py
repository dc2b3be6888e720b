"""The suites that ship are the published ones: subjects, prompts, counts, and what is stated."""

import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from bench.brought import score_images
from bench.errors import UserError
from bench.identity import file_digest
from bench.lint import lint
from bench.plan import Request, make_cases, make_plan
from bench.protocols import MetricSpec, Protocol, list_protocols, load_protocol
from bench.score import select
from bench.statements import NAMES, reads_text
from bench.suites import Suite, load_suite, prompts_for, read_table, suite_folder
from tests.stand_ins import stand_in

SHARED = Path(__file__).parents[1] / "../shared/data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data are not here")
NEW = [
    ("dreambench", "custom-diffusion"),
    ("dreambench", "dreambench-plus-scorer"),
    ("dreambench", "kosmos-g"),
    ("dreambench", "rpo"),
    ("dreambench", "sfo"),
    ("imagenhub-generation", "headline"),
    ("imagenhub-generation", "siso"),
    ("partiprompts", "headline"),
    ("vico", "dreammatcher"),
    ("vico", "headline"),
]

DOWNLOADED = [
    "customconcept101",
    "customconcept101-multi",
    "dreambench-plus",
    "imagenhub-editing",
]


def asked(suite: str, protocol: str) -> tuple[Suite, Protocol]:
    known = load_suite(suite)
    return known, load_protocol(known, protocol)


def published(file: str) -> list[dict[str, str]]:
    return list(read_table(SHARED / file))


def templates(suite: Suite) -> list[tuple[str, str]]:
    return [(s.directory, prompt) for s in suite.subjects for prompt in prompts_for(suite, s)]


@pytest.mark.parametrize(
    ("name", "subjects", "prompts", "photographs", "images"),
    [
        ("dreambench", 30, 750, 158, 3000),
        ("vico", 16, 496, 94, 3968),
        ("imagenhub-generation", 30, 150, 158, 150),
        ("partiprompts", 1632, 1632, 0, 1632),
    ],
)
def test_suites_are_as_large_as_the_papers_say(
    name: str, subjects: int, prompts: int, photographs: int, images: int
) -> None:
    suite, headline = asked(name, "headline")
    assert len(suite.subjects) == subjects and len(suite.images) == photographs
    assert len(templates(suite)) == prompts
    cases = make_cases(suite, headline, suite.subjects, headline.seeds)
    assert len({case.file for case in cases}) == len(cases) == images


def test_live_are_cats_and_dogs_and_nothing_else() -> None:
    for name in ("dreambench", "imagenhub-generation", "vico"):
        for subject in load_suite(name).subjects:
            assert subject.live == (subject.class_noun in {"cat", "dog"})


@needs_data
def test_vico_is_that_of_dreammatcher() -> None:
    suite = load_suite("vico")
    concepts = published("vico/concepts.tsv")
    assert [(s.directory, str(int(s.live)), str(len(s.references))) for s in suite.subjects] == [
        (row["directory"], row["live"], row["n_images"]) for row in concepts
    ]
    assert templates(suite) == [
        (row["directory"], row["template"].replace("{token} {class}", "{}"))
        for row in published("vico/prompts_full.tsv")
    ]
    given = asked("vico", "dreammatcher")[1].input_references
    assert given == {row["directory"]: row["dreammatcher_source_image"] for row in concepts}


@needs_data
def test_photographs_of_vico_are_known_by_what_was_published_of_them() -> None:
    told = published("vico/images.tsv")
    assert [(image.path, image.sha256) for image in load_suite("vico").images] == [
        (
            row["path"].removeprefix("inputs/"),
            f"git:{row['git_blob_sha1']}" if row["sha256"] == "absent" else row["sha256"],
        )
        for row in told
    ]
    assert sum(row["sha256"] == "absent" for row in told) == 12


def test_what_vico_borrows_is_all_that_it_has_byte_for_byte_of_dreambench() -> None:
    vico, dreambench = load_suite("vico"), load_suite("dreambench")
    borrowed = list(read_table(suite_folder(vico) / "borrowed.tsv"))
    assert {row["suite"] for row in borrowed} == {dreambench.key}
    there = {image.sha256: image.path for image in dreambench.images}
    same = {image.path: there[image.sha256] for image in vico.images if image.sha256 in there}
    assert {row["path"]: row["path_there"] for row in borrowed} == same and len(same) == 35


def test_31_prompts_are_dreambenchs_but_the_cube_and_seven_others() -> None:
    vico, dreambench = load_suite("vico"), load_suite("dreambench")
    for ours, theirs in (
        (vico.prompts_object, dreambench.prompts_object),
        (vico.prompts_live, dreambench.prompts_live),
    ):
        assert ours[:24] == theirs[:24] and theirs[24] == "a cube shaped {}" and len(ours) == 31
    assert vico.prompts_object[24:] == vico.prompts_live[24:]


@needs_data
def test_the_samples_of_imagenhub_are_the_published_ones_in_order() -> None:
    suite, headline = asked("imagenhub-generation", "headline")
    cases = make_cases(suite, headline, suite.subjects, 1)
    assert [(case.subject, case.prompt) for case in cases] == [
        (row["subject"], row["prompt_without_token"])
        for row in published("imagenhub/ig_prompts.tsv")
    ]
    assert len({case.prompt for case in cases}) == 134


@needs_data
def test_names_of_imagenhub_stand_where_the_token_stood() -> None:
    suite = load_suite("imagenhub-generation")
    names = {subject.directory: subject.descriptive_name for subject in suite.subjects}
    assert [prompt.format(f"<token> {names[s]}") for s, prompt in templates(suite)] == [
        row["prompt_with_token"] for row in published("imagenhub/ig_prompts.tsv")
    ]


def test_imagenhub_asks_about_dreambenchs_subjects_and_photographs() -> None:
    suite, dreambench = load_suite("imagenhub-generation"), load_suite("dreambench")
    assert suite.images_of == dreambench.key and suite.images == dreambench.images
    for ours, theirs in zip(suite.subjects, dreambench.subjects, strict=True):
        assert ours == theirs.model_copy(update={"descriptive_name": ours.descriptive_name})
    assert set(Counter(directory for directory, _ in templates(suite)).values()) == {5}


@needs_data
def test_partiprompts_are_the_official_ones_in_order_without_blanks_around_them() -> None:
    file = SHARED / "partiprompts/PartiPrompts.tsv"
    digest = "fab29e41bb512a169b56acab4cf2a41dcb675e285df2efcde6640c7dd3c440eb"
    assert file_digest(file) == digest
    suite, headline = asked("partiprompts", "headline")
    assert digest in (suite_folder(suite) / "suite.toml").read_text()
    cases = make_cases(suite, headline, suite.subjects, 1)
    official = [row["Prompt"] for row in published("partiprompts/PartiPrompts.tsv")]
    assert [case.prompt for case in cases] == [prompt.strip() for prompt in official]


def test_quotation_marks_of_a_prompt_survive() -> None:
    suite, headline = asked("partiprompts", "headline")
    (giggle,) = [
        case.prompt
        for case in make_cases(suite, headline, suite.subjects, 1)
        if "G I G G L E" in case.prompt
    ]
    assert giggle.startswith('"G I G G L E" painted in thick colorful lettering')


def test_a_suite_without_photographs_is_for_images_that_other_code_drew() -> None:
    with pytest.raises(UserError, match=r"has no photographs.*bench score --images"):
        make_plan(Request(method="sfo", suite="partiprompts", backbone="mini"))


def test_a_suite_without_photographs_is_scored_over_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    suite, headline = asked("partiprompts", "headline")
    used = select(headline, ["clip_t:mini-clip"])
    drawn = []
    for number, case in enumerate(make_cases(suite, headline, suite.subjects[:3], 1)):
        assert case.reference == ""
        file = tmp_path / f"{number}.png"
        Image.new("RGB", (32, 32), (80 * number, 40, 200)).save(file)
        drawn.append((case, file, hashlib.sha256(file.read_bytes()).hexdigest()))
    _, result = score_images(suite, headline, used, drawn, "plain", True, tmp_path / "out")
    (told,) = result.metrics.values()
    assert told.ci95 is not None and told.n == told.n_subjects == 3
    assert told.ci95[0] <= told.mean <= told.ci95[1]


@pytest.mark.parametrize(("suite", "protocol"), NEW)
def test_every_field_of_a_protocol_has_a_source_or_a_reason(suite: str, protocol: str) -> None:
    open_fields = [
        finding.line
        for finding in lint(*asked(suite, protocol))
        if finding.rule not in ("literal-template")
    ]
    assert open_fields == []


@pytest.mark.parametrize("name", DOWNLOADED)
def test_protocols_of_a_download_leave_nothing_open(name: str, tmp_path: Path) -> None:
    suite = stand_in(name, tmp_path)
    found = [finding.line for one in list_protocols(suite) for finding in lint(suite, one)]
    assert found == []


def test_protocols_named_here_are_all_that_state_something() -> None:
    names = {name for name, _ in NEW}
    stating = {(s, p.name) for s in names for p in list_protocols(load_suite(s)) if p.sources}
    assert stating == set(NEW)


def test_dreammatcher_reads_the_template_and_the_standard_protocol_the_prompt() -> None:
    suite, literal = asked("vico", "dreammatcher")
    (barn,) = [subject for subject in suite.subjects if subject.directory == "barn"]
    case = make_cases(suite, literal, (barn,), 1)[0]
    assert case.prompt == "a wooden barn in the jungle" and case.text == "a {} in the jungle"
    case = make_cases(suite, load_protocol(suite), (barn,), 1)[0]
    assert case.prompt == "a barn in the jungle" and case.text is None


def test_what_siso_holds_against_vanilla_images_came_in_its_second_version() -> None:
    suite = load_suite("imagenhub-generation")
    first, second = load_protocol(suite, "siso@1"), load_protocol(suite, "siso@2")
    added = [spec for spec in second.metrics if spec not in first.metrics]
    assert [spec for spec in second.metrics if spec in first.metrics] == list(first.metrics)
    assert {spec.metric: (spec.against, spec.references) for spec in added} == {
        **dict.fromkeys(("fid", "kid", "cmmd"), ("vanilla", "all")),
        "diversity_mse": ("references", "input"),
    }


def test_siso_holds_edits_against_the_images_that_were_edited(tmp_path: Path) -> None:
    suite = stand_in("imagenhub-editing", tmp_path)
    edits = {spec.key: spec for spec in load_protocol(suite, "siso").metrics}
    held = {key for key, spec in edits.items() if spec.against == "sources"}
    assert held == {"lpips", "fid", "kid", "cmmd"}
    assert edits["lpips"].region == edits["grounded_background"].region == "background"


def test_kosmos_g_differs_from_plain_class_nouns_in_the_photographs_that_count() -> None:
    suite = load_suite("dreambench")
    plain, fixed = load_protocol(suite, "class-noun"), load_protocol(suite, "kosmos-g")
    assert [(m.metric, m.encoder) for m in plain.metrics] == [
        (m.metric, m.encoder) for m in fixed.metrics
    ]
    assert [m.references for m in fixed.metrics[:2]] == ["input", "input"]
    assert fixed.input_references == plain.input_references
    assert fixed.reported == "x 100, mean not below 0"


def columns(protocol: Protocol) -> tuple[str, ...]:
    """A protocol as docs/suites.md tells it."""
    seen = [spec for spec in protocol.metrics if spec.metric in ("dino", "clip_i")]
    texts = [spec.key for spec in protocol.metrics if reads_text(spec)]
    return (
        f"`{protocol.suite.partition('@')[0]}/{protocol.key}`",
        NAMES[protocol.name_in_prompt],
        str(protocol.seeds),
        ", ".join(dict.fromkeys(spec.references for spec in seen)),
        ", ".join(_seen_through(spec) for spec in seen if spec.metric == "dino"),
        ", ".join(_seen_through(spec) for spec in seen if spec.metric == "clip_i"),
        (", ".join(texts) or "-") + " (`{}` left in)" * (protocol.scored_text == "template"),
        protocol.reported,
    )


def _seen_through(spec: MetricSpec) -> str:
    parts = (spec.encoder, spec.region.replace("whole", ""), spec.precision.replace("fp32", ""))
    return " ".join(part for part in parts if part)


def test_the_table_in_the_documentation_is_that_of_the_protocols(tmp_path: Path) -> None:
    shipped = [load_suite(name) for name in ("dreambench", "vico", "imagenhub-generation")]
    away = [stand_in(name, tmp_path) for name in DOWNLOADED]
    told = (Path(__file__).parents[1] / "docs/suites.md").read_text(encoding="utf-8").splitlines()
    protocols = [p for s in (*shipped, *away) for p in list_protocols(s) if not p.mini_weights]
    expected = [f"| {' | '.join(columns(protocol))} |" for protocol in protocols]
    assert [line for line in told if re.match(r"\| `[\w-]+/", line)] == expected
