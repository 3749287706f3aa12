"""What families that plan sentences learn of the training reports: words that part sentences."""

import numpy as np

from rcan.errors import UserError
from rcan.text.tokenizer import Tokenizer


def marks(words: Tokenizer) -> np.ndarray:
    """The ids of bos, "." and eos, (3,) int64.

    Raises UserError when no training report has sentences.
    """
    if "." not in words.vocabulary:
        raise UserError(
            'expected training reports whose sentences end with ".", found none; this family of '
            "models plans sentences: choose another model.family"
        )
    return np.array([words.bos_id, words.vocabulary["."], words.eos_id])
