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
        "weights": "a LoRA on the layers that the backbone adapts for images, or train=full: the "
        "whole network, as in the paper; never the text encoder",
        "full_lr": "5e-6, as diffusers' example that trains the whole network",
        "noise": "a timestep and a noise of its own for each image",
        "crop": "the central square, never mirrored; diffusers' examples crop at random",
        "guidance": "FLUX.1-dev trains at embedded guidance 1, like every training here; "
        "the example of diffusers embeds 3.5",
        "mini": "unknown words are all one to its text encoder, which no training has seen: a rare "
        "token like any other",
    },
    notes="SISO (arXiv 2503.16025) trains DreamBooth on one photograph: photographs=given.",
)
DREAMBOOTH_TI = Card(
    source="Personalization Guidance (arXiv 2508.00319), DB-LoRA+TI; the words after Textual "
    "Inversion (arXiv 2208.01618)",
    stated={**DREAMBOOTH.stated, "token": "two learned embeddings (Personalization Guidance)"},
    choices={
        **DREAMBOOTH.choices,
        "token": "two words before the subject's name, each with one vector in every text encoder",
        "initial": "both start as the mean of the class noun's embeddings, which is Textual "
        "Inversion's start where the noun is one token",
        "lr": "not said for the embeddings; the LoRA's, weight decay included",
    },
    notes="Class images' prompts say no learned word, so that no word is pulled to the class.",
)
CLASSDIFFUSION = Card(
    source="ClassDiffusion (arXiv 2405.17532) and its released code",
    stated={
        "objective": "the loss of photographs plus 1 - cosine of the pooled embeddings of 'a photo "
        "of a <new> [class]' and 'a photo of a [class]', weight 1 (code)",
        "lr": "1e-5, scaled by the batch of 2 (code)",
        "iterations": "500 (code)",
        "token": "one learned word (code)",
    },
    choices={
        **DREAMBOOTH.choices,
        "token": "one word before the subject's name",
        "initial": "the mean of the class noun's embeddings",
        "weights": "a LoRA on the layers that the backbone adapts for images, or train=full: keys "
        "and values of cross-attention as they are, which is the code's; on FLUX and mini, which "
        "have no such layers, those of the prompt's tokens in joint attention",
        "lr": "the code's; both for the LoRA, or what train=full trains, and the word",
        "full_lr": "2e-5, the code's as well",
        "prior": "0: semantic preservation stands in its place",
        "pooled": "of the text encoder whose pooled embedding the backbone itself is given",
        "crop": "the central square, never mirrored; the code mirrors half of them and masks",
    },
    notes="The text encoder is frozen, so semantic preservation moves the learned word alone.",
)
TEXTUAL_INVERSION = Card(
    source="Textual Inversion (arXiv 2208.01618), as diffusers' example trains it",
    stated={
        "objective": "the mean squared error on photographs; the word's vector alone is trained",
        "iterations": "3000 of 4 photographs at 5e-4 times 4 (README of diffusers' example; its "
        "defaults are 5000 of 16 at 1e-4)",
        "timesteps": "uniform",
        "vectors": "one",
    },
    choices={
        "token": "a word in place of the subject's name, in every text encoder",
        "initial": "the mean of the class noun's embeddings, which is the source's start where the "
        "noun is one token",
        "templates": "six neutral prompts of ours; the paper's are CLIP's for ImageNet",
        "photographs": "all of the subject's",
        "crop": "the central square, never mirrored; diffusers' example mirrors half of them",
        "mini": "one template, for it knows no other sentence that says nothing of the scene; few "
        "and small steps, for no word can say what its subjects look like: no caption of its "
        "training does. On 8 subjects of mini-validation DINO, CLIP-I and CLIP-T are 0.083, 0.110 "
        "and 0.927 at these settings, 0.073, 0.110 and 0.919 at three times the rate, and 0.081, "
        "0.110 and 0.927 for text alone. A word that learned from the subject's true scenes, 200 "
        "steps of 8, came to a DINO of 0.16 and -0.04 where the class noun has 0.15 and 0.08",
    },
)
