"""What SISO's paper and code say of edits, and what they leave open."""

from bench.api import Card
from bench.methods.siso_card import SISO

SISO_EDIT = Card(
    source="SISO (arXiv 2503.16025), Sec. 3.4, and its released code (yairshp/SISO); inversion by "
    "ReNoise (arXiv 2403.14602)",
    stated={
        "objective": SISO.stated["objective"],
        "rank": SISO.stated["rank"],
        "iterations": SISO.stated["iterations"],
        "lr": "3e-4 (paper, README)",
        "background": "10 (paper, README; the code's default is 0): squared differences in [0, 1], "
        "summed outside of the mask and divided by its number of values",
        "strength": "0.75 (App. A): three of the four steps",
        "steps": "4, at 512 pixels (code)",
        "through": "the last step (code)",
        "threshold": "3 percent (paper, README)",
        "patience": "7 (paper, README)",
        "inversion": "9 further answers, the last two averaged, and below t = 0.25 5, all but the "
        "last averaged; correlations weigh 20, patches 0.065, 4 turns of 5 shifts; fresh "
        "noise is moved by 10 steps of 1.8; on SD-Turbo DDIM without correlations or fresh noise "
        "(ReNoise's configuration)",
        "mask": "Grounding DINO tiny's best box above 0.3, SAM's three masks joined, the largest "
        "part filled (code)",
        "noise": "the same at every iteration (code)",
    },
    choices={
        "backbone": "the paper edits with SD-Turbo, the released script with SDXL-Turbo: both",
        "flux-schnell": "in no table: the inversion of mini",
        "optimiser": SISO.choices["optimiser"],
        "threshold": "an improvement is measured by the best loss's magnitude; where a background "
        "makes a loss positive, the code's factor of 1.03 takes worse ones for better",
        "best": "the image of the least loss; the code's is the last that came within 3 percent",
        "background": "held against the resized input (code); Eq. 3 against its reconstruction",
        "mask": "of the input image (code); the paper speaks of a mask of the subject's. Where "
        "nothing is found the code stops: here the log says so, and the case is edited without the "
        "loss of the background, so that a run over a suite goes on",
        "prompt": "the class's noun of the suite, up and down; the code has a vision-language "
        "model name each of both images in two words",
        "crop": "nothing is cropped to the subject in the loss, as in the code; its detector's "
        "crop belongs to the evaluation",
        "seed": "a case's own for its noises; the code's is 7865 for every image",
        "sampler": "DDIM ends at no noise at all, as Euler's does; SD-Turbo's own settings would "
        "end at the first timestep's",
        "weights": "the network's LoRA alone; the code's option for text encoders would not reach "
        "its editing pipeline either",
        "mini": "the world itself knows the mask; velocities are no noise, so that answers are "
        "averaged and not whitened; DINO alone, for its CLIP judges scenes and pays for texture; "
        "through all four steps that are left, since the last ones move colours only; from higher "
        "up some scenes would not be drawn again",
    },
)
