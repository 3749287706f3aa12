"""The figures of all systems: what they draw is what the results say, and all can be read."""

from dataclasses import replace
from itertools import combinations
from statistics import fmean

import pytest
from cells_on_disk import project
from matplotlib.colors import same_color
from matplotlib.text import Text

from rcan.files import write_json
from rcan.reading import read_json
from rcan.reporting.cells.systems import group_panels, panels, write_systems
from rcan.reporting.panels import CONSTANT, YOURS, Panel, Point, System
from rcan.reporting.panels_figure import PAPER, SEED, VERSIONS, draw_panels, told_of

RUN = {"main", "rve-1", "rve-2", "transformer-1", "blind-1"}  # main is rcan-1
NAMES = [f"{name}{version}.svg" for name in ("systems", "groups") for version in VERSIONS]
SHOWN = ["transformer", "rve", "rcan", "blind"]  # the control last


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    top = tmp_path_factory.mktemp("some") / "p"
    return project(top, data="iu_xray", seeds=(1, 2), only=RUN).read()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return project(tmp_path_factory.mktemp("whole") / "p").read()


@pytest.fixture(scope="module")
def axes_of(some):
    figure = draw_panels(some.scope(), panels(some))
    return {axes.get_title(loc="left"): axes for axes in figure.axes}


def marks(axes) -> list[tuple[float, ...]]:
    """Middle and ends of what is drawn for each row, from the top."""
    found = {}
    for container in axes.containers:
        dot, _, (bar,) = container.lines
        [segment] = bar.get_segments()
        found[dot.get_ydata()[0]] = (*dot.get_xdata(), *segment[:, 0])
    return [found[place] for place in sorted(found)]


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines(axes, label) -> list[list[float]]:
    return [list(line.get_xdata()) for line in axes.lines if line.get_label() == label]


def wanted(some, panel, cell):
    scores = [result.scores for result in some.model(cell).results]
    if panel in ("BLEU-4", "ROUGE-L"):
        value = some.scores[cell, "paper"][panel]
        return value["score"], value["low"], value["high"]
    if panel == "Findings F1":
        values = [one["findings"]["model"]["macro"]["f1"] for one in scores]
        return tuple(fmean(v[end] for v in values) for end in ("score", "low", "high"))
    falls = [one["controls"]["image_swap"]["strict"]["fall"]["BLEU-4"] for one in scores]
    return tuple(fmean(fall[end] for fall in falls) for end in ("difference", "low", "high"))


def test_four_panels_have_a_mark_with_its_interval_for_each_system_that_is_run(some, axes_of):
    assert list(axes_of) == ["BLEU-4", "ROUGE-L", "Fall, swapped images", "Findings F1"]
    for name, axes in axes_of.items():
        drawn = marks(axes)
        for cell, found in zip(SHOWN, drawn, strict=True):
            assert found == pytest.approx(wanted(some, name, cell)), (name, cell)
        left = name in ("BLEU-4", "Fall, swapped images")
        names = [told.get_text().replace("\n", " ") for told in axes.get_yticklabels()]
        assert names == ([some.title(cell) for cell in SHOWN] if left else [])
        heights = [container.lines[0].get_ydata()[0] for container in axes.containers]
        assert heights == list(axes.get_yticks())


def test_each_seed_is_a_dot_where_there_are_several(some, axes_of):
    results = some.model("rve").results
    assert len(results) == 2
    [seeds] = lines(axes_of["BLEU-4"], SEED)
    assert seeds == [result.counts["paper"].corpus["BLEU-4"] for result in results]


def test_the_constant_report_is_a_line_at_its_score_with_its_name(some, axes_of):
    floor = some.floors("paper")["best_constant"]
    found = some.results[0].scores["findings"]["best_constant"]["macro"]["f1"]["score"]
    at = [floor["BLEU-4"]["score"], floor["ROUGE-L"]["score"], 0.0, found]
    for axes, score in zip(axes_of.values(), at, strict=True):
        told = [text.get_text() for text in axes.texts]
        if score is None:
            assert lines(axes, CONSTANT) == [] and not any("constant" in text for text in told)
        else:
            assert lines(axes, CONSTANT) == [[score, score]]
            assert f"constant report {score:.3f}" in told
            own = [at for at, *_ in marks(axes)[:-1]]  # the last is a control
            higher = sum(middle > score for middle in own)
            assert f"{higher} of {len(own)} above the constant" in told
    assert lines(axes_of["BLEU-4"], CONSTANT)


def test_the_papers_value_is_marked_where_it_prints_one(some, whole, axes_of):
    for name, axes in axes_of.items():
        printed = [(some.printed(cell) or {}).get(name) for cell in SHOWN]
        assert lines(axes, PAPER) == [[score] for score in printed if score is not None]
    assert len(lines(axes_of["BLEU-4"], PAPER)) == 2
    assert not any(lines(axes, PAPER) for axes in draw_panels("", panels(whole)).axes)


def test_what_a_run_does_not_know_is_left_out(tmp_path):
    made = project(tmp_path / "p", only={"main", "rve-1"})
    for name, known in (("main", None), ("rve-1", 0.4)):
        path = made.evaluation(name) / "scores.json"
        scores = read_json(path, dict, "", "")
        f1 = dict.fromkeys(("score", "low", "high"), known)
        scores["findings"]["model"]["macro"]["f1"] = f1
        write_json(path, scores)
    shown = panels(made.read())
    titles = [[row.title for row in panel.points] for panel in shown]
    assert titles == [["RVE", "RCAN"]] * 3 + [["RVE"]]
    for name in ("main", "rve-1"):
        path = made.evaluation(name) / "scores.json"
        scores = read_json(path, dict, "", "")
        del scores["findings"]
        write_json(path, scores)
    figure = draw_panels("", panels(made.read()))
    assert [len(axes.containers) for axes in figure.axes if axes.get_visible()] == [2, 2, 2]


def test_all_versions_are_written_in_the_same_bytes_each_time(some, tmp_path):
    made = write_systems(some, tmp_path / "a")
    assert [path.name for path in made.values()] == NAMES
    write_systems(some, tmp_path / "b")
    texts = [path.read_text() for path in made.values()]
    assert texts == [(tmp_path / "b" / name).read_text() for name in NAMES]
    for text in texts:
        assert "<svg" in text and "<text" not in text and "<dc:date>" not in text
    assert len(set(texts)) == len(NAMES)
    light, dark = (draw_panels("", panels(some), version) for version in ("", "-dark"))
    assert same_color(light.get_facecolor(), "white") and max(dark.get_facecolor()[:3]) < 0.2


def test_with_nothing_run_no_figure_stays(tmp_path):
    (tmp_path / "out").mkdir()
    for name in NAMES:
        (tmp_path / "out" / name).touch()
    assert write_systems(project(tmp_path / "p", only=set()).read(), tmp_path / "out") == {}
    assert not list((tmp_path / "out").iterdir())


def test_groups_are_panels_on_one_axis_beside_the_constant_report_there(some):
    shown = group_panels(some)  # the made-up studies have no labels: none is called normal
    assert [panel.title for panel in shown] == ["Report in train", "Report not in train"]
    assert shown[0].unit == "BLEU-4, strict, 10 studies"
    axes = draw_panels("", shown, one_axis=True).axes[:2]
    assert axes[0].get_xlim() == axes[1].get_xlim()
    for panel, drawn, group in zip(shown, axes, ("in_train", "not_in_train"), strict=True):
        found = [result.scores["groups"]["strict"][group] for result in some.model("rve").results]
        values = [of_seed["model"]["BLEU-4"] for of_seed in found]
        wanted = tuple(fmean(v[end] for v in values) for end in ("score", "low", "high"))
        assert marks(drawn)[SHOWN.index("rve")] == pytest.approx(wanted)
        assert panel.constant == found[0]["best_constant"]["BLEU-4"]["score"]
        assert lines(drawn, CONSTANT) == [[panel.constant] * 2]


def test_a_control_far_above_the_systems_is_an_arrow_with_its_number():
    near, far = Point({"score": 0.1, "low": 0.08, "high": 0.12}), Point({"score": 1.0})
    rows = {System("a"): near, System("b"): near, System("c", control=True): far}
    panel, other = Panel("F1", "macro", rows, 0.0), Panel("other", "", {System("a"): far}, 0.0)
    [axes] = draw_panels("", [panel], "-wide").axes
    assert len(marks(axes)) == 2
    [arrow] = [line for line in axes.lines if line.get_marker() == ">"]
    assert arrow.get_xdata() == pytest.approx([0.36])  # three times what the systems take
    assert [told.get_text() for told in axes.texts if "1.0" in told.get_text()] == ["1.000"]
    assert "An arrow points" in told_of([panel]) and "A hollow dot" in told_of([panel])
    axes = draw_panels("", [panel, other], one_axis=True).axes[0]
    assert len(marks(axes)) == 3  # there is room for it on the axis of both
    assert "arrow" not in told_of([panel, other], one_axis=True)
    flat = Panel(
        "F1", "macro", {System("a"): Point({"score": 0.0}), System("c", control=True): far}, 0.0
    )
    assert len(marks(draw_panels("", [flat]).axes[0])) == 2


@pytest.mark.parametrize("name", ["RCAN", "_mine", "each seed", "one constant report"])
def test_the_readers_own_row_is_marked_whatever_its_name(name):
    at = Point({"score": 0.1, "low": 0.08, "high": 0.12})
    mine = System(name, mine=True)
    panel = Panel("BLEU-4", "paper protocol", {mine: at, System("RCAN"): at}, 0.2)
    figure = draw_panels("", [panel, panel])
    assert [label.get_weight() for label in figure.axes[0].get_yticklabels()] == ["bold", "normal"]
    assert [container.lines[0].get_marker() for container in figure.axes[1].containers] == [
        "s",
        "o",
    ]
    assert legend(figure) == ["score, 95 % interval", YOURS, CONSTANT]
    assert panel.words == (
        "BLEU-4 (paper protocol): yours 0.100, systems 0.100 to 0.100, one constant report 0.200,"
        " 0 of 1 above the constant"
    )
    assert told_of([panel]).startswith("Your row is marked. The dashed line")


def test_a_long_name_takes_three_lines_at_most():
    panel = Panel(
        "BLEU-4", "", {System("many words " * 40, mine=True): Point({"score": 0.1})}, None
    )
    [label] = draw_panels("", [panel]).axes[0].get_yticklabels()
    assert label.get_text().count("\n") == 2 and label.get_text().endswith("…")


@pytest.mark.parametrize("version", ["", "-wide"])
@pytest.mark.parametrize("of", [panels, group_panels])
@pytest.mark.parametrize("name", ["some", "whole"])
def test_no_words_are_small_or_lie_on_others(name, of, version, request):
    ablations = request.getfixturevalue(name)
    figure = draw_panels(ablations.scope(), of(ablations), version)
    figure.draw_without_rendering()
    unseen = {
        label for axes in figure.axes for label in axes.get_xticklabels()
        if not axes.viewLim.x0 <= label.get_position()[0] <= axes.viewLim.x1
    }  # fmt: skip
    words = [
        text for text in figure.findobj(Text)
        if text.get_visible() and text.get_text() and text not in unseen
    ]  # fmt: skip
    assert min(text.get_fontsize() for text in words) >= 9
    boxes = {text: text.get_window_extent() for text in words}
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, text
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, text
    for (one, box), (other, beside) in combinations(boxes.items(), 2):
        assert not box.overlaps(beside), (one, other)


def test_systems_that_no_table_shows_have_no_panel(whole, tmp_path):
    alone = replace(whole, cells=replace(whole.cells, shown={}))
    assert panels(alone) == group_panels(alone) == []
    assert write_systems(alone, tmp_path) == {}
