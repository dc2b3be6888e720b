"""A sitting: the images before the judges, and the photographs that each is held against."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from bench.api import Case, Row
from bench.errors import UserError
from bench.gallery import Photographs, Picture
from bench.pictures import read
from bench.protocols import Against, MetricSpec, Protocol

Drawn = tuple[Case, Path, str]
"""A case, the file that answers it, and the SHA-256 of that file."""
Shown = Callable[[Case], str | None]
"""File name of the photograph that answers a case; None where the image was drawn."""
Place = tuple[str, int, int]
"""Subject, prompt index and seed: a case, whatever protocol asks it."""
ByCase = Mapping[Place, Picture]
Counterparts = Mapping[Against, ByCase]
"""Images of the same cases that answers are held against, besides photographs."""


def place_of(case: Case) -> Place:
    return case.subject, case.prompt_index, case.seed


def not_shown(case: Case) -> None:
    """What is shown where no photograph answers any case."""


@dataclass(frozen=True)
class Answer:
    """A case with the picture that answers it."""

    case: Case
    picture: Picture
    shown: str | None = None
    """File name of the photograph of the subject that this is; nothing is held against itself."""

    @property
    def place(self) -> Place:
        return place_of(self.case)

    def row(self, metric: str, value: float) -> Row:
        """What a metric says of it."""
        case = self.case
        return Row(
            subject=case.subject,
            prompt_index=case.prompt_index,
            prompt=case.prompt,
            seed=case.seed,
            metric=metric,
            value=value,
            image_sha256=self.picture.digest,
        )


class Sitting:
    """Answers under a protocol, by subject, prompt and seed whatever the order they came in."""

    def __init__(
        self,
        answers: Iterable[Answer],
        photographs: Photographs,
        protocol: Protocol,
        counterparts: Counterparts | None = None,
    ) -> None:
        self.answers = sorted(answers, key=lambda answer: answer.place)
        self.photographs, self.protocol = photographs, protocol
        self._counterparts = counterparts or {}

    @classmethod
    def of_files(
        cls,
        files: Iterable[Drawn],
        photographs: Photographs,
        protocol: Protocol,
        shown: Shown = not_shown,
        counterparts: Counterparts | None = None,
    ) -> "Sitting":
        """Files that are read when somebody has to look at them."""

        def answer(case: Case, path: Path, sha256: str) -> Answer:
            noun = _noun(photographs, case.subject)
            return Answer(case, Picture(sha256, partial(read, path), noun), shown(case))

        answers = (answer(*file) for file in files)
        return cls(answers, photographs, protocol, counterparts)

    @property
    def pictures(self) -> list[Picture]:
        return [answer.picture for answer in self.answers]

    def opposite(self, against: Against) -> list[Picture]:
        """Every photograph of the subjects that are asked for, or every answer's counterpart."""
        if against != "references":
            return [self._counterpart(against, answer.case) for answer in self.answers]
        subjects = dict.fromkeys(answer.case.subject for answer in self.answers)
        return [picture for subject in subjects for picture in self.photographs(subject).values()]

    def counted(self, spec: MetricSpec, case: Case) -> list[Picture]:
        """What counts for a case: its counterpart, or photographs. UserError when none is left."""
        if spec.against != "references":
            return [self._counterpart(spec.against, case)]
        photographs = self.photographs(case.subject)
        fixed = self.protocol.fixed_references or {}
        kept = {
            "all": sorted(photographs),
            "input": [case.reference],
            "all-but-input": sorted(photographs.keys() - {case.reference}),
            "fixed": [fixed[case.subject]] if case.subject in fixed else [],
        }[spec.references]
        if not kept:
            raise UserError(
                f"'{spec.key}' counts the references '{spec.references}', and {case.subject} has "
                "none of them: choose a protocol that counts 'all'."
            )
        return [photographs[file] for file in kept]

    def held_against(self, spec: MetricSpec, answer: Answer) -> list[Picture]:
        """What counts for an answer: no photograph itself. UserError when none is left."""
        counted = self.counted(spec, answer.case)
        if answer.shown is None or spec.against != "references":
            return counted
        itself = self.photographs(answer.case.subject)[answer.shown]
        kept = [picture for picture in counted if picture != itself]
        if not kept:
            raise UserError(
                f"'{spec.key}' counts no photograph of {answer.case.subject} but the one that is "
                "shown: choose a protocol that counts 'all'."
            )
        return kept

    def siblings(self, answer: Answer) -> list[Picture]:
        """The other images of the same subject and prompt."""
        group = self._groups[answer.place[:2]]
        return [other.picture for other in group if other is not answer]

    def _counterpart(self, against: Against, case: Case) -> Picture:
        place = place_of(case)
        if place not in self._counterparts.get(against, {}):
            raise UserError(
                f"{case.file} has nothing of '{against}' to be held against: leave out the metrics "
                "that want it with --metrics."
            )
        return self._counterparts[against][place]

    @cached_property
    def _groups(self) -> dict[tuple[str, int], list[Answer]]:
        groups: dict[tuple[str, int], list[Answer]] = defaultdict(list)
        for answer in self.answers:
            groups[answer.place[:2]].append(answer)
        return groups


def _noun(photographs: Photographs, subject: str) -> str:
    return next((picture.noun for picture in photographs(subject).values()), "")
