"""LPIPS: how much of an image was changed, to the eye of a network."""

from bench.metrics.pairwise import FromReferences


class Lpips(FromReferences):
    """Mean LPIPS between an image and the references that count, brought to its size (bicubic).

    At least 0, lower is closer; whole images, or backgrounds where a protocol hides the subject.
    Values are comparable at one resolution only. Source: Zhang et al. 2018; SISO (Shpitzer et al.
    2025) for backgrounds, without naming the trunk.
    """

    name = "lpips"
    encoder = "lpips-alex"
    unit = "LPIPS"
    higher_is_better = False
