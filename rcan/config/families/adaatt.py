"""AdaAtt's settings: layers that its code has and its paper has not."""

from rcan.config.sections import Family, Section, Settings


class AdaAtt(Section):
    """Knowing when to look."""

    extra_layers: bool


class Config(Family):
    adaatt: AdaAtt

    def title(self, settings: Settings) -> str:
        return "AdaAtt"

    def choices(self, settings: Settings) -> list[str]:
        return ["extra_layers=True"] if self.adaatt.extra_layers else []
