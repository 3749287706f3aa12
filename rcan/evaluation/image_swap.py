"""The image-swap control: what the reports score that the model wrote from other studies' images.

A model that looks loses what the image told it; one that writes the same whatever it sees loses
nothing. Given the images of study j it writes prediction j, so no report is generated anew.
"""

from collections.abc import Sequence

import numpy as np

SEED = 1  # every run is given the same wrong images, so that runs can be compared


def swap(predictions: Sequence[str]) -> list[str]:
    """For each study the prediction of another one, each used once (a study alone keeps its own).

    The studies stand in a ring in a fixed random order; each gets its neighbour's.
    """
    ring = np.random.default_rng(SEED).permutation(len(predictions))
    neighbour = dict(zip(ring.tolist(), np.roll(ring, 1).tolist(), strict=True))
    return [predictions[neighbour[study]] for study in range(len(predictions))]
