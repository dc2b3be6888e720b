"""What RPO's paper and code say, and what they leave open."""

from bench.api import Card

RPO = Card(
    source="RPO (arXiv 2407.12164; andrew-miao/RPO), as SFO (arXiv 2506.03621) runs it in Table A",
    stated={
        "rank": "32 (SFO, Sec. D.5; the code's default for SD-XL; alpha is the same)",
        "iterations": "1000 of one pair at rate 1e-5 for LoRA on SD-XL, 400 at 5e-6 for SD 2.1 "
        "(README)",
        "lambda_val": "0.5 (SFO, Sec. D.5); 0.3, 0.5 and 0.7 in the README",
        "lambda_train": "0: labels come of the text alone (code)",
        "judge": "ALIGN, kakaobrain/align-base, for images and for texts; means over photographs",
        "token": "'[V]', read as the letters that it is (README); what is scored is without it",
        "instance": "'a photo of [V] dog' (README)",
        "images": "4 per scene, 8 scenes (code)",
        "validate_every": "40 (README)",
        "objective": "mean squared error on photographs plus the preference; a new label at every "
        "use of a pair (code)",
    },
    choices={
        "beta": "1 (code): train.py for SD 2.1 reads it and leaves it out, train_sdxl.py has it",
        "prompts": "scenes are of RPO's authors' own making, others for live subjects than for "
        "objects; here eight of ours for all, the same for training and for validation, as one "
        "version of the code has it (a later one validates on two)",
        "validation_images": "4 per scene, as the code draws",
        "early stopping": "the best of all validations is kept, the earlier of equal ones, nothing "
        "ends early (code); the last step is looked at as well. The code for SD-XL looks at none",
        "noise": "one timestep and one noise per pair, as the code for SD-XL has it; that for SD "
        "2.1 draws both for each image",
        "timesteps": "uniform, as the code; on flows the same",
        "pairs": "every generated image, photographs taking turns; in the code only as many as "
        "there are photographs (4 at least) are ever seen",
        "crop": "the central square; the code crops at random",
        "weights": "LoRA on the image's tokens, also on SD 2.1, where the code trains the network",
        "mini": "no token, for unknown words are all one to its text encoder and no training has "
        "seen one; mini-clip judges images and texts (looker=mini-dino: another eye for images)",
    },
    notes="SFO's row for SD 2.1 is the README's own for lambda 0.5, whole network and CLIP "
    "ViT-B/16, to the digit. With lambda 0 in training both rewards lie in so narrow a range that "
    "labels are close to a coin's.",
)
