"""The benchmarks' own arithmetic and tables, and that the project never leans on them."""

import json
import subprocess
import sys

import pytest
from imports import TOP, modules_named, sources

from benchmarks.figure import draw
from benchmarks.measure import Result, exponent, paired
from benchmarks.tables import keep, read, table, write_all


def test_a_ratio_says_how_many_times_better_ours_is():
    faster = Result("a", [1.0, 2.0], "s", [10.0, 8.0], "theirs", target=5)
    assert faster.ratios == [10.0, 4.0] and faster.met
    speed = Result("b", [100.0], "images/s", [20.0], "theirs", higher_is_better=True, target=6)
    assert speed.ratios == [5.0] and not speed.met


@pytest.mark.parametrize(
    ("result", "met"),
    [
        (Result("a", [0.2, 0.4, 0.3], "s", at_most=0.3), True),
        (Result("a", [0.2, 0.4, 0.3], "s", at_most=0.29), False),
        (Result("a", [96.0], "of 96", target=96), True),
        (Result("a", [95.0], "of 96", target=96), False),
        (Result("a", [95.0], "of 96"), None),
    ],
)
def test_a_target_is_reached_by_the_median(result, met):
    assert result.met is met


def test_both_sides_take_turns_and_the_order_turns_too():
    calls = []
    ours, theirs = paired(lambda: calls.append("o"), lambda: calls.append("t"), rounds=3)
    assert "".join(calls) == "ot" + "ot" + "to" + "ot"
    assert len(ours) == len(theirs) == 3


def test_growth_is_the_slope_of_the_logarithms():
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert exponent([10, 20, 40], [5, 5, 5]) == pytest.approx(0)


def test_results_are_kept_and_read_again(tmp_path):
    results = [
        Result("features to reports", [1.0, 1.1], "ms/report", [100.0, 99.0], "R2GenCMN",
               target=60, note="22 words"),
        Result("tokens", [95.0], "of 96", target=96),
    ]  # fmt: skip
    keep(results, "decoding", tmp_path, command="decoding --rounds 2")
    content = read(tmp_path)["decoding"]
    assert content["command"] == "python -m benchmarks decoding --rounds 2"
    assert content["machine"]["torch"] and content["date"]
    text = table(content["results"])
    assert "**95** (90–100, 2 rounds) | ≥ 60 | reached" in text
    assert "95 of 96" in text and "**missed**" in text
    write_all(tmp_path)
    assert text in (tmp_path / "results.md").read_text(encoding="utf-8")
    draw(tmp_path)
    assert (tmp_path / "benchmarks.png").stat().st_size > 5_000
    json.loads((tmp_path / "decoding.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decode"], "no measurement 'decode'"),
        (["--r2gencmn", "nowhere"], "nowhere is no folder"),
        (["--device", "tpu"], "--device is 'tpu'"),
        (["--rounds", "0"], "--rounds is 0"),
    ],
)
def test_a_wrong_option_is_named(arguments, said):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=TOP, capture_output=True, text=True
    )
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_the_measurements_run(tmp_path):
    """The smallest of them, end to end; they measure nothing of use at this size."""
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "images", "scoring", "--quick", "--out", tmp_path],
        cwd=TOP, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {
        "images.json", "scoring.json", "results.md", "benchmarks.png",
    }  # fmt: skip


def test_the_project_does_without_its_benchmarks():
    for path in sources():
        assert not any(name.split(".")[0] == "benchmarks" for name in modules_named(path))
