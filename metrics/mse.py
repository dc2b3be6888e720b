"""MSE: how much of an image was changed, pixel by pixel."""

from bench.metrics.pairwise import FromReferences


class Mse(FromReferences):
    """Mean squared difference between an image and the references that count, in [0, 1].

    Lower is closer: 0 where nothing was changed. RGB in [0, 1] at 512 x 512 (bicubic); whole
    images, or backgrounds where a protocol hides the subject, which then counts as equal.
    """

    name = "mse"
    encoder = "pixels"
    unit = "squared difference"
    higher_is_better = False
