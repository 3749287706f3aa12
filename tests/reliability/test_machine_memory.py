"""Too little memory ends a stage in one line and leaves no half file; with enough it goes on."""

from collections import Counter

import pytest
from stages import copy, leftovers, results

# Megabytes above what is loaded already: of each stage, the least and the most that are tried, and
# how many in the short and in the long version.
LIMITS = {
    "preprocess": (2, 24, 1, 12), "tokenizer": (0, 1, 1, 6), "floors": (0, 2, 0, 6),
    "train": (8, 100, 0, 14), "evaluate": (8, 60, 0, 4), "report": (0, 2, 0, 6),
}  # fmt: skip
LIMIT = """
import resource, signal
import torchvision  # as everything else, it is loaded before memory runs out
signal.alarm(60)  # Python up to 3.12 may wait for ever for a thread that found no memory to start
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {extra}, used + {extra}))
"""


@pytest.mark.parametrize("stage", LIMITS)
def test_too_little_memory(stage, zygote, undisturbed, tmp_path, amount, figure):
    least, most, *tries = LIMITS[stage]
    if not amount(*tries):
        pytest.skip("one of the long version's stages")
    start, after, _ = undisturbed[stage]
    ends: Counter = Counter()
    for number in range(amount(*tries)):
        extra = int((least + number / amount(*tries) * (most - least)) * 1e6)
        folder = copy(start, tmp_path / "work")
        ended = zygote.run(stage, folder, prelude=LIMIT.format(extra=extra))
        ends[ended.code] += 1
        errors = [line for line in ended.printed.splitlines() if line.startswith("error:")]
        if ended.code >= 0:  # else a library or Python itself did not stand it
            assert "Traceback" not in ended.printed, ended.printed
            assert (ended.code, len(errors)) in ((0, 0), (1, 1)), ended.printed
            assert all("too little memory" in line for line in errors), ended.printed
        for name, content in results(folder).items():
            assert content in (results(start).get(name), after.get(name)), name
        again = zygote.run(stage, folder)
        assert again.code == 0, again.printed
        assert results(folder) == after
        assert leftovers(folder) == []
    assert ends[1] > sum(count for code, count in ends.items() if code < 0), ends
    figure("machine trouble", "too little memory", amount(*tries) - ends[0])
