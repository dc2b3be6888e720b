"""Kontext: FLUX.1-Kontext-dev is given the photograph and the prompt as it is asked.

Source: FLUX.1 Kontext (arXiv 2506.15742), as in Table 1 of SFO. The paper leaves open the size, the
guidance and whether prompts are put as instructions; the backbone's own sampling is taken, and
prompts are left as they are.
"""

from PIL.Image import Image

from bench.api import Question
from bench.methods.sampling import square
from bench.methods.zero_shot import SizedOptions, ZeroShot


class Kontext(ZeroShot):
    """The centre square of the photograph at the size of the answer, nothing resized further."""

    name = "kontext"
    backbone_name = "flux-kontext"
    Options = SizedOptions

    def answer(self, question: Question) -> Image:
        return self.backbone.draw(
            question.case.prompt,
            question.case.noise_seed,
            self.side,
            image=square(question.reference, self.side),
            max_area=self.side**2,
            _auto_resize=False,
            **self.sampling,
        )
