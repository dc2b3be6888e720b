"""What SISO's paper and code say, and what they leave open."""

from bench.api import Card

SISO = Card(
    source="SISO (arXiv 2503.16025) and its released code (yairshp/SISO)",
    stated={
        "objective": "DINO plus IR, weight 1 each (Eq. 2); negative cosines, DINOv2 ViT-L/14 at "
        "518 pixels, resized without antialiasing, the subject's photograph in full (code)",
        "rank": "4, A gaussian, alpha the same (code)",
        "iterations": "50 (README)",
        "lr": "2e-4 for SDXL-Turbo and FLUX-schnell, 8e-4 for Sana (README); 3e-4 (paper)",
        "weight_decay": "1e-2 for SDXL-Turbo, 1e-4 for FLUX and Sana; gradients clipped at 1 "
        "(code)",
        "threshold": "3 percent (paper, README)",
        "patience": "7 (paper); 5 for Sana (README)",
        "loop_steps": "1 for SDXL-Turbo and FLUX-schnell, 20 for Sana (README)",
        "through": "the last step for SDXL-Turbo, all of FLUX's one, 3 of Sana's (App. E, README)",
        "prompt": "'a photo of a [class]' (README); 'image of a dog' in Fig. 2",
        "steps": "4 without guidance for the distilled, 20 at 4.5 for Sana, 512 pixels (code)",
        "noise": "the same at every iteration (code)",
    },
    choices={
        "optimiser": "AdamW, as the code; Eq. 1 divides the gradient by the squared loss, which "
        "the text calls simplified",
        "threshold": "an improvement is measured by the best loss's magnitude, so that it is one "
        "whatever the sign; the code multiplies by 1.03, which allows worse ones above zero",
        "best": "the weights at the image of the least loss, copied; the code's are those of the "
        "last iteration, as what it keeps goes on being trained, and what it calls best moves by 3 "
        "percent only",
        "weights": "the network's LoRA alone, on the layers that the backbone adapts for images; "
        "the code's FLUX also adapts the text's stream, and all may adapt text encoders",
        "sampler": "SDXL-Turbo by Euler without ancestral noise, which is the same for one step",
        "through": "where more steps than one are asked for, FLUX's code goes through all of them, "
        "here the last; set both",
        "flux-dev, sd15, sd21, sdxl": "in no table: Sana's steps, as they are not distilled",
        "sd-turbo": "in no table of generation: the paper's rate",
        "seed": "0; one noise for all subjects' simple prompts, as in the code",
        "simplify": "how Table 4 draws without it is not said: each question is optimised with its "
        "own prompt and noise, and answered by the best of its iterates",
        "mini": "one step, whose blur hides what tiny encoders can be fooled by: of several steps "
        "they are fooled sooner, by textures that are nowhere in the photograph",
        "crop": "nothing is cropped to the subject, as in the code; Grounding DINO's crop belongs "
        "to the evaluation",
    },
    notes="The text says 7 iterations of patience and a rate of 3e-4 for all; its code's commands, "
    "by backbone, are followed.",
)
