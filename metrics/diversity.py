"""Diversity: do the images of one question differ, or repeat one picture?"""

from bench.metrics.pairwise import AmongSiblings, FromReferences


class LpipsDiversity(AmongSiblings):
    """Mean LPIPS between an image and the others of the same subject and prompt.

    At least 0, higher is more diverse. The mean over a prompt's images is the mean over its pairs,
    which DreamBooth calls DIV without naming the trunk. Source: DreamBooth (Ruiz et al. 2023).
    """

    name = "diversity_lpips"
    encoder = "lpips-alex"
    unit = "LPIPS"
    higher_is_better = True


class MseDiversity(FromReferences):
    """Mean squared difference between an image and the subject's references, in [0, 1].

    Higher is taken for more diverse: less of the reference is copied. The paper gives neither the
    resolution nor the range of the pixels nor which reference: here 512 x 512, RGB in [0, 1] and
    those that the protocol counts. Source: SISO (Shpitzer et al. 2025), table 2.
    """

    name = "diversity_mse"
    encoder = "pixels"
    unit = "squared difference"
    higher_is_better = True
