"""How far a sampler's steps go, as guidance has to know it that puts the weak model's noise back.

A deterministic step of first order goes from x_0 + s eps to x_0 + s' eps, s being noise over
signal. CFG++ guides x_0 alone and takes eps from the weak answer. Written out, that is the plain
step at the scale times s / (s - s'), the step's stride, whether noise, v or a velocity is
predicted: each is affine in eps at a given x.
"""

import math
from itertools import pairwise

from diffusers import DDIMScheduler, EulerDiscreteScheduler, SchedulerMixin

from bench.errors import UserError


def stride(level: float, following: float) -> float:
    """s / (s - s')."""
    return level / (level - following)


def flow_stride(t: float, following: float) -> float:
    """``stride`` of a flow, whose s is t / (1 - t); t = 1 included."""
    return t * (1 - following) / (t - following)


def strides(scheduler: SchedulerMixin) -> list[float]:
    """Of every step that has been set. UserError for samplers that are not of first order."""
    if isinstance(scheduler, EulerDiscreteScheduler):
        return [stride(*levels) for levels in pairwise(scheduler.sigmas.tolist())]
    if not isinstance(scheduler, DDIMScheduler):
        raise UserError(
            "The guidances cfg++ and pg++ are rules of DDIM's and Euler's steps, and this backbone "
            f"is sampled by {type(scheduler).__name__}; choose cfg or pg."
        )
    apart = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    timesteps = scheduler.timesteps.tolist()
    return [stride(_sigma(scheduler, t), _sigma(scheduler, t - apart)) for t in timesteps]


def _sigma(scheduler: DDIMScheduler, timestep: int) -> float:
    """Noise over signal; before the first timestep stands what DDIM itself ends at."""
    alphas, last = scheduler.alphas_cumprod, scheduler.final_alpha_cumprod
    alpha = float(alphas[timestep] if timestep >= 0 else last)
    return math.sqrt((1 - alpha) / alpha)
