"""External: images that other code made, entered as a run of their own and scored like any other.

They lie as ``bench score --images`` takes them: a folder of ``<subject>/<prompt index>-<seed>.png``
or ``<prompt text>-<seed>.png``, a manifest, or the folder of another run.
"""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from pydantic import Field

from bench.api import Case, Frozen, Question, Workspace
from bench.claims import Claim, read_claims
from bench.errors import UserError
from bench.faults import Report
from bench.folder import check, index
from bench.identity import file_digest, identity
from bench.made import images_of, specification_of
from bench.methods.anchors import Anchor
from bench.pictures import read
from bench.plan import Specification, make_cases
from bench.protocols import load_protocol
from bench.suites import load_suite

NAMED = 3
"""Missing images that the sentence names."""


class ExternalOptions(Frozen):
    """Where the images are."""

    images: Path | None = Field(None, description="folder, manifest or run of the images; needed")


class External(Anchor):
    """The images as they are, pixel for pixel; nothing is drawn.

    A run is of these images: their digests are part of its identity. UserError for images that are
    not named, and, before the first is taken, for cases that lack one.
    """

    name = "external"
    needs_references = False
    Options = ExternalOptions

    def __init__(self, backbone: object, options: ExternalOptions) -> None:
        super().__init__(backbone, options)
        if options.images is None:
            raise UserError(
                "'external' scores images that are there already: say where with --set images=DIR."
            )
        self.source = images_of(options.images.expanduser())
        self.inputs = {"images": identity(sorted(map(_named, read_claims(self.source))))}
        self._files: Mapping[Case, Path] = {}

    def train(self, workspace: Workspace) -> None:
        """Find the file of every case of the run, so that what is missing is known at once."""
        report = check(index(self.source, _cases(workspace)), workspace.progress)
        if report.blocking:
            raise UserError(_sentence(report))
        if report.noted:
            remarks = [f"{fault.where}: {fault.words}" for fault in report.noted]
            workspace.log({"event": "images noted", "remarks": remarks})
        self._files = {case: path for case, path, _ in report.images}

    def answer(self, question: Question) -> Image.Image:
        return read(self._files[question.case])


def _named(claim: Claim) -> list[str]:
    """What an image is said to show, and its digest; empty for a file that is not there."""
    digest = file_digest(claim.path) if claim.path.is_file() else ""
    return [claim.subject or "", claim.prompt, str(claim.seed), digest]


def _cases(workspace: Workspace) -> tuple[Case, ...]:
    """Every case of the run that the workspace belongs to."""
    run = Specification.model_validate(specification_of(workspace.folder.parent))
    suite = load_suite(run.suite)
    subjects = tuple(s for s in suite.subjects if s.directory in run.subjects)
    return make_cases(suite, load_protocol(suite, run.protocol), subjects, run.seeds)


def _sentence(report: Report) -> str:
    first = ", ".join(f"{fault.where} ({fault.words})" for fault in report.blocking[:NAMED])
    rest = len(report.blocking) - NAMED
    return (
        f"{len(report.blocking)} of the {report.asked} images asked for cannot be taken from "
        f"{report.source}: {first}{f' and {rest} more' if rest > 0 else ''}; add them, or score "
        "what is there with 'bench score --allow-partial'."
    )
