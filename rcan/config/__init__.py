"""Settings: `params.yaml` becomes one frozen, validated `Settings`.

There are no defaults in the code: the file is the one home of every value.
"""

from rcan.config.resolve import PROFILES, from_dict, load_settings, resolve
from rcan.config.sections import PipelineSettings, Settings, Train

__all__ = [
    "PROFILES",
    "PipelineSettings",
    "Settings",
    "Train",
    "from_dict",
    "load_settings",
    "resolve",
]
