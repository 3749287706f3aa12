"""What no single key can tell: settings that must agree with each other."""

from rcan.config.sections import Settings
from rcan.errors import UserError

STRIDES = {"layer3": 16, "layer4": 32}  # pixels a cell of a ResNet's map


def check_together(settings: Settings) -> None:
    """What no single key can tell."""
    visual, model, cgm, wcl = settings.visual, settings.model, settings.cgm, settings.wcl

    def demand(condition: bool, message: str) -> None:
        if not condition:
            raise UserError(message)

    demand(
        model.d_model % model.num_heads == 0,
        f"model.d_model ({model.d_model}) must be a multiple of model.num_heads "
        f"({model.num_heads})",
    )
    demand(
        model.d_model % 2 == 0,
        f"model.d_model ({model.d_model}) must be even: positions are pairs of sine and cosine",
    )
    demand(
        not model.use_cgm or model.d_model % cgm.num_heads == 0,
        f"model.d_model ({model.d_model}) must be a multiple of cgm.num_heads ({cgm.num_heads})",
    )
    demand(
        not model.use_cgm or cgm.top_k is None or cgm.top_k <= cgm.num_slots,
        f"cgm.top_k ({cgm.top_k}) must be at most cgm.num_slots ({cgm.num_slots})",
    )
    demand(
        visual.crop <= settings.data.image_size,
        f"visual.crop ({visual.crop}) must be at most data.image_size ({settings.data.image_size})",
    )
    stride = 2 ** len(visual.channels) if visual.backbone == "small" else STRIDES[visual.last_layer]
    side = visual.crop // stride + (visual.crop % stride > 0)  # of the CNN's map, in cells
    for key, value, most in (
        ("feature_window", visual.feature_window or 1, side),
        ("feature_pool", visual.feature_pool, visual.feature_window or side),
        (
            "token_grid",
            visual.token_grid or 1,
            -(-(visual.feature_window or side) // visual.feature_pool),
        ),
    ):
        demand(
            value <= most,
            f"visual.{key} is {value}; it must be at most {most}: the map of images of "
            f"{visual.crop} pixels has {side} x {side} cells",
        )
    demand(
        visual.feature_window is None or visual.frozen,
        "visual.feature_window is for kept features: set visual.frozen to true or leave it empty",
    )
    demand(
        not model.use_wcl or wcl.views == "augment" or settings.data.num_views == 2,
        "wcl.views: images needs two images a study (data.num_views: 2); use augment",
    )
    demand(
        not (visual.blind and model.use_wcl),
        "visual.blind leaves WCL nothing to compare: set model.use_wcl to false",
    )
    demand(
        visual.backbone != "small" or visual.weights == "none",
        f"visual.weights is {visual.weights!r}, but backbone small has none to load: use none",
    )
