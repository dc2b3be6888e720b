"""Anybody's folder of images: which file answers which case, and what is wrong with them."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bench.api import Case, Progress, silent
from bench.claims import DIGITS, Claim, read_claims, root_of
from bench.faults import Fault, Kind, Report, Usable, in_order
from bench.pictures import Header, Unreadable, content_of, inspect

CONVERTED = {
    "1": "black and white, in three equal channels",
    "L": "grey, in three equal channels",
    "LA": "grey, in three equal channels",
    "I;16": "16-bit grey, scaled to 8 bits",
    "P": "at most 256 colours, from a palette",
    "CMYK": "CMYK, turned into RGB without a colour profile",
}
"""What is said of an image that is stored neither as RGB nor as RGBA, by Pillow's mode."""

Prompt = tuple[str, int]
"""A subject and the index of one of its prompts."""
Answer = tuple[Prompt, Claim]
Order = Mapping[Prompt, Mapping[int, int]]
"""For a prompt whose seeds have other numbers: the number that is asked for."""


@dataclass(frozen=True)
class Found:
    """The files that answer each case, and what was noticed while they were told apart."""

    source: Path
    cases: tuple[Case, ...]
    files: Mapping[Case, tuple[Path, ...]]
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Looked:
    """What one reading of a file tells: its SHA-256, and its header or why it has none."""

    sha256: str
    header: Header | None
    reason: str = ""


def index(source: Path, cases: Sequence[Case]) -> Found:
    """Which files of a folder, or of a manifest, answer which cases; no image is opened.

    Seeds that are as many as asked for but have other numbers, such as 42 to 45, are taken in
    order. UserError for a source that is not there and for a manifest that cannot be read.
    """
    names, subjects = _names(cases), {case.subject for case in cases}
    meant = [(claim, _meant(claim, names)) for claim in read_claims(source)]
    answers = [(prompts[0], claim) for claim, prompts in meant if len(prompts) == 1]
    order = _order(answers, cases)
    known = {(case.subject, case.prompt_index, case.seed): case for case in cases}
    files: dict[Case, set[Path]] = defaultdict(set)
    faults = [_unplaced(source, claim, p, subjects) for claim, p in meant if len(p) != 1]
    for prompt, claim in answers:
        if case := known.get((*prompt, order.get(prompt, {}).get(claim.seed, claim.seed))):
            files[case].add(claim.path)
        else:
            words = f"nobody asks for seed {claim.seed}"
            faults.append(_fault("surplus", source, claim.path, words))
    return Found(
        source=source,
        cases=tuple(cases),
        files={case: tuple(sorted(paths)) for case, paths in files.items()},
        faults=(*faults, *_renumbered(source, order)),
    )


def check(found: Found, progress: Progress = silent) -> Report:
    """What is wrong with the files, each read once; pixels are decoded where nothing else tells.

    The report's digests are those of the bytes that were judged.
    """
    looked = _look_at_all(found, progress)
    images = tuple(_usable(found, looked))
    headers = {path: header for _, path, _ in images if (header := looked[path].header)}
    faults = (
        *found.faults,
        *_of_cases(found, looked),
        *_of_files(found, looked),
        *_of_headers(found, headers),
        *_odd_sizes(found, headers),
        *_identical(found, images),
    )
    return Report(
        source=str(found.source), asked=len(found.cases), images=images, faults=in_order(faults)
    )


def _plain(text: str) -> str:
    """Letters and digits alone: what a prompt keeps in every spelling of it as a file's name."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))


def _names(cases: Sequence[Case]) -> Mapping[str, set[Prompt]]:
    """All that a prompt may be called, and the prompts that are called so."""
    names: dict[str, set[Prompt]] = defaultdict(set)
    for case in cases:
        for name in (f"#{case.prompt_index}", _plain(case.prompt)):
            names[name].add((case.subject, case.prompt_index))
    return names


def _meant(claim: Claim, names: Mapping[str, set[Prompt]]) -> list[Prompt]:
    """The prompts that a claim may be about."""
    said = claim.prompt
    is_index = said.isdecimal() and len(said) <= DIGITS
    prompts = names.get(f"#{int(said)}" if is_index else _plain(said), set())
    return sorted(prompt for prompt in prompts if claim.subject in (None, prompt[0]))


def _unplaced(source: Path, claim: Claim, prompts: list[Prompt], subjects: set[str]) -> Fault:
    """The fault of a claim that is not about one prompt."""
    if prompts:
        fits = sorted({subject for subject, _ in prompts})
        advice = "put it into a folder named after its subject"
        if len(fits) == 1:
            advice = "name it <prompt index>-<seed>"
        words = f"fits {len(prompts)} prompts ({_some(fits)}): {advice}"
        return _fault("ambiguous", source, claim.path, words)
    words = f"there is no prompt '{claim.prompt}'"
    if not claim.prompt:
        words = "not named <subject>/<prompt>-<seed>"
    elif claim.subject is not None and claim.subject not in subjects:
        words = f"there is no subject '{claim.subject}'"
    return _fault("surplus", source, claim.path, words)


def _order(answers: Sequence[Answer], cases: Sequence[Case]) -> Order:
    """New numbers for seeds: all over alike where that fits, else prompt by prompt."""
    asked = _seeds(((case.subject, case.prompt_index), case.seed) for case in cases)
    given = _seeds((prompt, claim.seed) for prompt, claim in answers)
    wanted, there = (sorted(set().union(*seeds.values())) for seeds in (asked, given))
    if wanted == there:
        return {}
    if len(wanted) == len(there):
        return {prompt: dict(zip(there, wanted, strict=True)) for prompt in given}
    if all(len(given.get(prompt, ())) == len(seeds) for prompt, seeds in asked.items()):
        pairs = {prompt: (sorted(given[prompt]), sorted(asked[prompt])) for prompt in asked}
        return {prompt: dict(zip(*pair, strict=True)) for prompt, pair in pairs.items()}
    return {}


def _seeds(numbered: Iterable[tuple[Prompt, int]]) -> dict[Prompt, set[int]]:
    seeds: dict[Prompt, set[int]] = defaultdict(set)
    for prompt, seed in numbered:
        seeds[prompt].add(seed)
    return seeds


def _renumbered(source: Path, order: Order) -> Iterator[Fault]:
    """One fault for all, if seeds got other numbers."""
    orders = {tuple(numbers.items()) for numbers in order.values()}
    if orders:
        words = "each prompt's seeds are taken in their order"
        if len(orders) == 1:
            given, taken = (_some(map(str, n)) for n in zip(*orders.pop(), strict=True))
            words = f"seeds {given} are taken for {taken}"
        yield Fault(kind="renumbered", where=str(source), words=words)


def _look_at_all(found: Found, progress: Progress) -> dict[Path, Looked]:
    """Every file that is there."""
    paths = sorted({path for paths in found.files.values() for path in paths if _exists(path)})
    looked = {}
    with ThreadPoolExecutor() as pool:
        for path, look in zip(paths, pool.map(_look, paths), strict=True):
            looked[path] = look
            progress("Checking", len(looked), len(paths))
    return looked


def _exists(path: Path) -> bool:
    """Also a name that no file system takes is one that is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _look(path: Path) -> Looked:
    try:
        content = content_of(path)
    except Unreadable as error:
        return Looked("", None, error.reason)
    digest = sha256(content).hexdigest()
    try:
        return Looked(digest, inspect(path, content))
    except Unreadable as error:
        return Looked(digest, None, error.reason)


def _usable(found: Found, looked: Mapping[Path, Looked]) -> Iterator[Usable]:
    for case in found.cases:
        paths = [path for path in found.files.get(case, ()) if path in looked]
        if len(paths) == 1 and looked[paths[0]].header:
            yield case, paths[0], looked[paths[0]].sha256


def _of_cases(found: Found, looked: Mapping[Path, Looked]) -> Iterator[Fault]:
    for case in found.cases:
        paths = found.files.get(case, ())
        there = [_shown(found.source, path) for path in paths if path in looked]
        if len(there) > 1:
            yield Fault(kind="duplicate", where=case.file, words=f"answered by {_some(there)}")
        elif not there:
            words = f"there is no {_shown(found.source, paths[0])}" if paths else "no file for it"
            yield Fault(kind="missing", where=case.file, words=words)


def _of_files(found: Found, looked: Mapping[Path, Looked]) -> Iterator[Fault]:
    for path, look in looked.items():
        if not look.header:
            yield _fault("unreadable", found.source, path, look.reason)


def _of_headers(found: Found, headers: Mapping[Path, Header]) -> Iterator[Fault]:
    for path, header in headers.items():
        if header.has_alpha:
            yield _fault("alpha", found.source, path, "transparency is laid on white")
        if header.mode not in ("RGB", "RGBA"):
            words = CONVERTED.get(header.mode, f"{header.mode}, turned into RGB")
            yield _fault("mode", found.source, path, words)
        if header.frames > 1:
            words = f"the first of {header.frames} frames counts"
            yield _fault("frames", found.source, path, words)


def _odd_sizes(found: Found, headers: Mapping[Path, Header]) -> Iterator[Fault]:
    """Sizes that differ from the most common one, of several the largest."""
    sizes = Counter(header.size for header in headers.values())
    usual = max(sizes, key=lambda size: (sizes[size], size), default=(0, 0))
    for path, header in headers.items():
        if header.size != usual:
            words = "{} x {} px, most are {} x {}".format(*header.size, *usual)
            yield _fault("size", found.source, path, words)


def _identical(found: Found, images: Sequence[Usable]) -> Iterator[Fault]:
    groups: dict[str, list[Usable]] = defaultdict(list)
    for image in images:
        groups[image[2]].append(image)
    for group in groups.values():
        if len(group) > 1:
            words = f"the same bytes answer {_some(case.file for case, _, _ in group)}"
            yield _fault("identical", found.source, group[0][1], words)


def _fault(kind: Kind, source: Path, path: Path, words: str) -> Fault:
    return Fault(kind=kind, where=_shown(source, path), words=words)


def _shown(source: Path, path: Path) -> str:
    """A path as reports name it: inside the folder where it lies there."""
    root = root_of(source)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _some(names: Iterable[str]) -> str:
    """The first few."""
    every = list(names)
    return ", ".join(every[:4]) + (f" and {len(every) - 4} more" if len(every) > 4 else "")
