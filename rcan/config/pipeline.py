"""All of `params.yaml`: besides what shapes a model, how it is scored and what may be shown."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from rcan.config.sections import MOST, Section, Seed, Settings


class Eval(Section):
    """Bootstrap over studies."""

    resamples: Annotated[int, Field(ge=100, le=MOST)]
    seed: Seed


class Privacy(Section):
    """Whether the reports and images may be shown outside the data folder."""

    restricted: bool


class PipelineSettings(Settings):
    """The settings of stages."""

    eval: Eval
    privacy: Privacy
    # Sections of the other families, for cells that train one of these.
    others: Mapping[str, Mapping[str, Any]] = Field(default={}, exclude=True, repr=False)
