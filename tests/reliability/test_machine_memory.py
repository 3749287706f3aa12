"""Too little memory ends a stage in one line and leaves no half file; with enough it goes on."""

from collections import Counter

import pytest

# Megabytes above what is loaded already: of each stage, the least and the most that are tried, and
# how many in the short and in the long version.
LIMITS = {
    "preprocess": (5, 24, 1, 12), "tokenizer": (0, 1, 1, 6), "floors": (0, 2, 0, 6),
    "train": (8, 100, 0, 14), "evaluate": (8, 60, 0, 4), "report": (0, 2, 0, 6),
}  # fmt: skip
LIMIT = """
import resource
import torchvision  # as everything else, it is loaded before memory runs out
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {extra}, used + {extra}))
"""


@pytest.mark.parametrize("stage", LIMITS)
def test_too_little_memory(stage, scene, amount, figure):
    least, most, *tries = LIMITS[stage]
    ends, times = Counter(), amount(*tries)
    for number in range(times):
        extra = int((least + number / times * (most - least)) * 1e6)
        place = scene(stage)
        ended = place.run(prelude=LIMIT.format(extra=extra))
        ends[ended.code] += 1
        # Below 0 a library or Python itself did not stand it: up to 3.12 it may wait for ever for a
        # thread that found no memory to start, until `Zygote` ends it.
        if ended.code >= 0:
            assert "too little memory" in (ended.error() or "too little memory")
        place.require_whole()
        place.require_goes_on()
    assert ends[1] > sum(count for code, count in ends.items() if code < 0), ends
    figure("machine trouble", "too little memory", times - ends[0])
