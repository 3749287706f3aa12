"""What a demo study can show and how its report says so, in the style of IU X-ray.

Normal sentences are short and findings frequent, with a side, a size or a place, so that a report
written without looking scores low.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rcan.data.sets import demo_phantom as phantom
from rcan.data.sets.demo_phantom import BILATERAL, LEFT, RIGHT

SIDES = (RIGHT, LEFT)
USUAL_WORDING = 0.75  # how often the first of a finding's two wordings is used


@dataclass(frozen=True)
class Finding:
    """One thing a report speaks of; {0}, {1} in its wordings are the attributes it is seen with.

    When it is not seen, the report says one of `absent`, or denies `denied` together with all else
    that is denied ("No nodule or pneumothorax."), or is silent.
    """

    name: str
    probability: float
    attributes: tuple[tuple[str, ...], ...]  # the choices for each attribute
    draw: Callable[..., None]  # on a view, as the attributes say
    present: tuple[str, str]  # the usual wording and another
    absent: tuple[str, str] | None = None
    denied: str | None = None
    alters_anatomy: bool = False


# In the order in which a report speaks of them.
FINDINGS = (
    Finding(
        "cardiomegaly",
        0.5,
        (("mild", "marked"),),
        phantom.cardiomegaly,
        present=("There is {0} cardiomegaly.", "The cardiac silhouette shows {0} enlargement."),
        absent=("Heart size is normal.", "Normal heart size."),
        alters_anatomy=True,
    ),
    Finding(
        "lung_volume",
        0.5,
        (("low", "high"),),
        phantom.lung_volume,
        present=("Lung volumes are {0}.", "Inspiration is {0}."),
        absent=("Lungs are normally inflated.", "Normal lung volumes."),
        alters_anatomy=True,
    ),
    Finding(
        "consolidation",
        0.45,
        (SIDES, ("upper", "lower")),
        phantom.consolidation,
        present=(
            "{0} {1} lobe consolidation suggests {0} sided pneumonia.",
            "Airspace opacity in the {0} {1} lobe.",
        ),
        denied="consolidation",
    ),
    Finding(
        "nodule",
        0.35,
        (SIDES, ("small", "large")),
        phantom.nodule,
        present=(
            "A {1} nodule projects over the {0} midlung.",
            "There is a {1} {0} midlung granuloma.",
        ),
        denied="nodule",
    ),
    Finding(
        "atelectasis",
        0.3,
        (SIDES,),
        phantom.atelectasis,
        present=("Linear atelectasis crosses the {0} lung.", "Plate-like {0} atelectasis."),
    ),
    Finding(
        "pleural_effusion",
        0.45,
        ((*SIDES, BILATERAL), ("small", "large")),
        phantom.effusion,
        present=(
            "{1} {0} pleural effusion with {0} basilar blunting.",
            "There is {1} {0} pleural fluid.",
        ),
        denied="effusion",
    ),
    Finding(
        "pneumothorax",
        0.35,
        (SIDES,),
        phantom.pneumothorax,
        present=(
            "{0} apical pneumothorax with partial collapse of the {0} lung.",
            "There is a {0} pneumothorax.",
        ),
        denied="pneumothorax",
    ),
    Finding(
        "pacemaker",
        0.2,
        (SIDES,),
        phantom.pacemaker,
        present=(
            "{0} chest pacemaker with its lead over the heart.",
            "A {0} pacemaker is in place.",
        ),
    ),
    Finding(
        "central_line",
        0.2,
        (SIDES,),
        phantom.central_line,
        present=(
            "{0} central line tip is in the superior vena cava.",
            "A {0} venous catheter is in place.",
        ),
    ),
    Finding(
        "scoliosis",
        0.4,
        (SIDES,),
        phantom.scoliosis,
        present=("Thoracic scoliosis is convex to the {0}.", "The spine curves to the {0}."),
        absent=("The bones are intact.", "No acute bony abnormality."),
        alters_anatomy=True,
    ),
)
DENIALS = ("No {0}.", "There is no evidence of {0}.")

Seen = dict[str, tuple[str, ...]]  # finding -> its attributes


def see(rng: np.random.Generator) -> Seen:
    """Draw the findings of one study."""
    seen = {
        finding.name: tuple(str(rng.choice(choices)) for choices in finding.attributes)
        for finding in FINDINGS
        if rng.random() < finding.probability
    }
    drowned, size = seen.get("pleural_effusion", ("", ""))
    if size == "large":  # nothing low in a lung can be seen through it
        for name in ("atelectasis", "consolidation"):
            side, *zone = seen.get(name, ("",))
            if drowned in (side, BILATERAL) and zone != ["upper"]:
                seen.pop(name, None)
    return seen


def report_on(seen: Seen, rng: np.random.Generator) -> str:
    """Report on what is seen; the wording is the one thing the picture does not tell."""
    sentences = []
    denied = []
    for finding in FINDINGS:
        if finding.name in seen:
            sentences.append(_word(finding.present, rng).format(*seen[finding.name]))
        elif finding.absent:
            sentences.append(_word(finding.absent, rng))
        elif finding.denied:
            denied.append(finding.denied)
    if denied:
        *others, last = denied
        denied_together = f"{', '.join(others)} or {last}" if others else last
        sentences.append(_word(DENIALS, rng).format(denied_together))
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _word(wordings: tuple[str, str], rng: np.random.Generator) -> str:
    return wordings[0 if rng.random() < USUAL_WORDING else 1]
