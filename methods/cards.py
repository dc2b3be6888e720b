"""What the papers say of the comparative methods, and what they leave open."""

from collections.abc import Mapping

from bench.api import Card

SFT_STATED: Mapping[str, str] = {
    "sft_rank": "4 (SFO, Sec. D.1)",
    "guidance": "3.5, 28 steps (SFO, Sec. 4.1)",
    "corpus": "Subjects200K at 512 x 512, OminiControl's own implementation (SFO, Sec. 4.1)",
}
SFT_OPEN: Mapping[str, str] = {
    "sft_iterations": "not stated by SFO; 15,000 of 8 triplets, as OminiControl's paper trains",
    "drop_text": "not stated by SFO; 0.1 as OminiControl's code, where prompt and reference are "
    "dropped independently",
    "position": "which side of the image the reference stands on is not stated; left, as "
    "OminiControl's training code has it (its released subject weights want the right)",
    "guidance": "what guidance the training embeds is not stated; 1.0, as OminiControl's code",
}
SFO_STATED: Mapping[str, str] = {
    "rank": "16 (Sec. 4.1; robust from 4 to 32, Fig. F)",
    "beta": "1000 (Sec. 4.1; Table D)",
    "objective": "Eq. 3 in the form of Fig. C: means of squared errors, no factor 1/2, one "
    "timestep and one noise per pair",
    "timesteps": "logit(t) ~ N(0, 1) (Sec. 3.2); the second argument in Table C is a variance, so "
    "its N(0, 0.25) is t_std=0.5",
    "optimiser": "Prodigy (Sec. 4.1)",
    "iterations": "300, a batch of 4 on four GPUs, no accumulation (Sec. D.2)",
    "negatives": "about 5,000, a random part of the second collection (Sec. D.2)",
    "blur": "radius 5 (Sec. 4.1; Table B)",
    "generic": "'a photo of {item}' (Sec. 3.3)",
}
TUNING_OPEN: Mapping[str, str] = {
    "batch": "4 per GPU or 4 in all is not said; 16 in all, which agrees with the hours reported; "
    "batch=4 is the other reading",
    "tokens": "which tokens the LoRA acts on is not said; the reference's alone, as the SFT LoRA",
    "precision": "not said; fp32 LoRA on a bf16 base. bf16 is offered: there small updates of "
    "weights that are not zero may round away",
    "lr": "Prodigy's settings are not said; OminiControl's: lr 1, d0 1e-6, weight decay 0.01, bias "
    "correction, safeguarded warm-up, gradients clipped to 0.5",
    "tune_drop_text": "whether conditions are dropped is not said; never, for a pair needs its own",
    "corpus": "which image of a pair is the reference is not said; the one on white, as 'white "
    "portrait conditioning image' (Sec. 4.3) suggests",
    "seed": "not said; one candidate per triplet with a seed of its own",
}
CDNS_OPEN: Mapping[str, str] = {
    "image_noise": "the strength of image=noise is not said; a standard deviation of 0.3 on pixels "
    "in [0, 1]",
    "captions": "written by GPT-4o in the paper; here from a file that any local model may write, "
    "or by the corpus itself",
    "difficulty": "thresholds of Table F are not said, nor whether 'High' means likeness; terciles "
    "of the likeness of positive and negative over a larger pool, 'high' the most alike",
}
SLIPS = (
    "Eq. 9 has its sign reversed, Eqs. 11 to 15 lose a minus and Eq. 14 a bracket, Fig. C shows no "
    "no_grad; Eq. 3 is followed."
)

SFT = Card(
    source="OminiControl (arXiv 2411.15098), retrained as SFO (arXiv 2506.03621), Sec. D.1",
    stated=SFT_STATED,
    choices=SFT_OPEN,
)
SFO = Card(
    source="SFO (arXiv 2506.03621), Sec. 3 and D.2",
    stated={**SFT_STATED, **SFO_STATED},
    choices={**SFT_OPEN, **TUNING_OPEN, **CDNS_OPEN},
    notes=SLIPS,
)
SFO_DIRECT = Card(
    source="SFO (arXiv 2506.03621), Table E",
    stated={**SFT_STATED, **SFO_STATED, "adapter": "the SFT LoRA itself is trained (Table E)"},
    choices={
        **SFT_OPEN,
        **TUNING_OPEN,
        "precision": "not said; with bf16 weights and Prodigy's small first steps no change at all "
        "could come of rounding alone: run both",
    },
)
SELF_PLAY = Card(
    source="SPIN-Diffusion (arXiv 2402.10210), as SFO (arXiv 2506.03621) runs it in Table 4",
    stated={**SFT_STATED, "source": "negatives from the undegraded condition (Sec. 4.3)"},
    choices={
        **SFT_OPEN,
        **TUNING_OPEN,
        "rounds": "how many is not said; one",
        "beta": "not said; as SFO",
    },
)
DPO_DINO = Card(
    source="SFO (arXiv 2506.03621), Table 4",
    stated={**SFT_STATED, "labels": "two images of one condition, labelled by DINO (Sec. 4.3)"},
    choices={
        **SFT_OPEN,
        **TUNING_OPEN,
        "labels": "what DINO compares them with is not said; the reference image",
        "beta": "not said; as SFO",
    },
)
SFT_ADDITIONAL = Card(
    source="SFO (arXiv 2506.03621), Table 4",
    stated={**SFT_STATED, "objective": "more SFT, without negatives, in an adapter of SFO's size"},
    choices={**SFT_OPEN, **TUNING_OPEN},
)
