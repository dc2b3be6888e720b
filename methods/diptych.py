"""Diptych Prompting: the photograph is the left panel of a picture whose right panel is painted.

Source: Diptych Prompting (arXiv 2411.15466) and its released code: panels of 768 pixels with a
border of 8 that is cut off, the subject cut out on white, ControlNet scale 0.95, attention from the
right panel to the left one times 1.3, 30 steps, distilled and true guidance 3.5. Open or otherwise
here: the words (the option ``words`` takes the paper's own); a subject is found at a confidence of
0.35, not 0.3, and its whole outline is kept; true guidance uses the ControlNet's answer to the
prompt for both of its predictions, as diffusers' pipeline does.
"""

from functools import cached_property

from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from PIL import Image
from pydantic import Field, field_validator

from bench.api import Question
from bench.identity import identity
from bench.methods.backbones.panel_attention import PanelAttention, left_panel
from bench.methods.backbones.pipelines import PipelineBackbone
from bench.methods.sft_base import SamplingOptions
from bench.methods.zero_shot import ZeroShot
from bench.metrics import regions

BORDER = 8
"""Pixels around each panel that are painted and cut off."""
WORDS = (
    "A diptych of one and the same {name}. Left panel: a photo of the {name}. Right panel: exactly "
    "this {name} again, now as {prompt}"
)


class DiptychOptions(SamplingOptions):
    """How the right panel is painted."""

    cut_out: bool = Field(True, description="lay the subject on white; needs its detectors")
    attention: float = Field(
        1.3, gt=0, description="factor on attention from the right panel to the left; 1: stock"
    )
    control: float = Field(0.95, ge=0, description="scale of the ControlNet")
    true_guidance: float = Field(3.5, ge=1, description="guidance away from no text; 1: none")
    words: str = Field(WORDS, description="text of the diptych around {name} and {prompt}")

    @field_validator("words")
    @classmethod
    def _can_be_filled(cls, words: str) -> str:
        try:
            words.format(name="", prompt="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("only {name} and {prompt} may stand in braces") from error
        return words


class Diptych(ZeroShot):
    """The right panel; the photograph is stretched to a square, as in the authors' code."""

    name = "diptych"
    backbone_name = "flux-inpainting"
    Options = DiptychOptions

    def __init__(self, backbone: PipelineBackbone, options: DiptychOptions) -> None:
        super().__init__(backbone, options)
        self.options = options
        self.panel = self.side + 2 * BORDER
        if options.cut_out:
            self.inputs["cut_out"] = identity([self.grounder.recipe, self.masker.recipe])
        pipeline = backbone.pipeline
        tokens = self.panel // (2 * pipeline.vae_scale_factor)
        pipeline.controlnet.given = left_panel(tokens)
        stock = options.attention == 1
        pipeline.transformer.set_attn_processor(
            FluxAttnProcessor() if stock else PanelAttention(tokens, options.attention)
        )

    @cached_property
    def grounder(self) -> regions.Grounder:
        """Finds the subject. UserError for weights that are not here."""
        return regions.Grounder()

    @cached_property
    def masker(self) -> regions.Masker:
        """Outlines the subject. UserError for weights that are not here."""
        return regions.Masker()

    def answer(self, question: Question) -> Image.Image:
        case = question.case
        painted = self.backbone.draw(
            self.options.words.format(name=case.name, prompt=case.prompt),
            case.noise_seed,
            self.panel,
            width=2 * self.panel,
            control_image=self.diptych(question),
            controlnet_conditioning_scale=self.options.control,
            negative_prompt="",
            true_cfg_scale=self.options.true_guidance,
            **self.sampling,
        )
        return painted.crop(self.right_panel)

    @property
    def right_panel(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the answer in the painted diptych."""
        return self.panel + BORDER, BORDER, 2 * self.panel - BORDER, self.panel - BORDER

    def diptych(self, question: Question) -> Image.Image:
        """The photograph, or the subject on white, and to its right a black panel."""
        shown = question.reference.convert("RGB").resize((self.panel, self.panel))
        if self.options.cut_out:
            shown = self._cut_out(shown, question)
        both = Image.new("RGB", (2 * self.panel, self.panel))
        both.paste(shown)
        return both

    def _cut_out(self, image: Image.Image, question: Question) -> Image.Image:
        """The whole frame, white outside the subject; as it is where none was found."""
        [grounding] = self.grounder.ground([image], [question.case.name])
        mask = self.masker.mask([image], [grounding.box])[0] if grounding.box else None
        if mask is None or not mask.any():
            self.log({"event": "subject not found", "case": question.case.file})
            return image
        return regions.blank(image, ~mask, regions.WHITE)
