"""SA&T's settings: width of its LSTM, its loss's weight, where paper and code differ."""

from rcan.config.sections import Family, NonNegative, Section, Settings, Width


class SAT(Section):
    """Show, attend and tell."""

    d_hidden: Width
    deep_attention: bool
    output_tanh: bool
    lambda_attention: NonNegative


class Config(Family):
    sat: SAT

    def title(self, settings: Settings) -> str:
        return "SA&T"

    def choices(self, settings: Settings) -> list[str]:
        words = [] if self.sat.deep_attention else ["deep_attention=False"]
        words += [] if self.sat.output_tanh else ["output_tanh=False"]
        lambda_ = self.sat.lambda_attention
        return words + ([] if lambda_ == 1 else [f"lambda_attention={lambda_:g}"])
