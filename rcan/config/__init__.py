"""Settings: `params.yaml` becomes one frozen, validated `Settings`.

There are no defaults in the code: the file is the one home of every value.
"""

from rcan.config.pipeline import PipelineSettings
from rcan.config.resolve import PROFILES, from_dict, from_sections, load_settings, resolve
from rcan.config.sections import Generate, Model, Settings, Train, Visual

__all__ = [
    "PROFILES",
    "Generate",
    "Model",
    "PipelineSettings",
    "Settings",
    "Train",
    "Visual",
    "from_dict",
    "from_sections",
    "load_settings",
    "resolve",
]
