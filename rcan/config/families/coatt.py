"""CoAtt's settings: its tags, its sentences, the weights of its losses."""

from typing import ClassVar, Literal

from rcan.config.sections import Count, Family, Layers, NonNegative, Section, Settings


class CoAtt(Section):
    """On the automatic generation of medical imaging reports."""

    num_tags: Count
    least_studies: Count
    max_sentences: Layers
    stop: Literal["after", "with"]
    lambda_tags: NonNegative
    lambda_attention: NonNegative


class Config(Family):
    learns: ClassVar = True
    needs_labels: ClassVar = "always"

    coatt: CoAtt

    def title(self, settings: Settings) -> str:
        return "CoAtt"

    def choices(self, settings: Settings) -> list[str]:
        words = [] if self.coatt.stop == "after" else ["stop=with"]
        for name in ("lambda_tags", "lambda_attention"):
            value = getattr(self.coatt, name)
            words += [] if value == 1 else [f"{name}={value:g}"]
        return words
