"""What DreamBooth's sources say, and what they leave open."""

from bench.api import Card

DREAMBOOTH = Card(
    source="DreamBooth (arXiv 2208.12242), as a LoRA, as diffusers' examples and Personalization "
    "Guidance (arXiv 2508.00319) train it",
    stated={
        "rank": "4, 500 steps of one photograph at 1e-4, prior preservation on, for SD 1.5, SD 2.1 "
        "and SANA (Personalization Guidance); 32 and 300 steps of Adam at 1e-4 for FLUX (SFO, "
        "arXiv 2506.03621, Table A, after Diptych Prompting)",
        "objective": "the mean squared error on photographs plus that on class images, weight 1",
        "instance": "'a [identifier] [class noun]', class images from 'a [class noun]' (paper)",
        "photographs": "all of the subject's, 3 to 5 (paper)",
        "timesteps": "uniform (paper; diffusers' examples, also for flows)",
        "weight_decay": "1e-2 for Stable Diffusion, 1e-4 for SD-XL and SANA (diffusers' examples)",
    },
    choices={
        "token": "'sks', as diffusers' examples; the paper looks for rare tokens",
        "name": "photographs are trained under the name that prompts use, the token before its "
        "first mention, class images under the class noun",
        "class_images": "100, the default of diffusers' examples, drawn by the plain backbone and "
        "kept for every subject of the class",
        "prior": "whether SFO's FLUX trains with it is not said; 1 here",
        "weights": "the network's LoRA alone, on the layers that the backbone adapts for images; "
        "neither the whole network, as in the paper, nor the text encoder",
        "noise": "a timestep and a noise of its own for each image",
        "crop": "the central square, never mirrored; diffusers' examples crop at random",
        "guidance": "FLUX.1-dev trains at embedded guidance 1, like every training here; "
        "the example of diffusers embeds 3.5",
        "mini": "unknown words are all one to its text encoder, which no training has seen: a rare "
        "token like any other",
    },
    notes="SISO (arXiv 2503.16025) trains DreamBooth on one photograph: photographs=given.",
)
