"""The page stands alone and the figures draw what they are given."""

import base64
import io
import re

import numpy as np
import pytest
from cells_on_disk import floors, project
from imports import TOP
from PIL import Image

from rcan.ablation.cells import CONTROLS
from rcan.errors import UserError
from rcan.reporting.cells.figures import figure_3, figure_5
from rcan.reporting.cells.page import Places, conclusions, write_ablations
from rcan.reporting.cells.scores import scores_sections

ENDLESS = {"meta", "img", "br", "hr", "link", "input", "source"}


def places(top):
    return Places(
        top / "reports/ablations", top / "reports/examples", top / "reports/fig4.csv",
        top / "reports/index.html",
        TOP / "docs/readings.md",
    )  # fmt: skip


def written(ablations, top):
    write_ablations(ablations, places(top))
    return places(top).page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return project(tmp_path_factory.mktemp("demo") / "p").read()


@pytest.fixture(scope="module")
def iu_xray(tmp_path_factory):
    top = tmp_path_factory.mktemp("iu") / "p"
    return project(top, data="iu_xray", only={"main", "rve-1", "lambda_0.3-1"}).read()


@pytest.fixture(scope="module")
def page_of(demo, iu_xray, tmp_path_factory):
    tops = {name: tmp_path_factory.mktemp(name) for name in ("demo", "iu_xray")}
    pages = {"demo": written(demo, tops["demo"]), "iu_xray": written(iu_xray, tops["iu_xray"])}
    return {name: (pages[name], places(top)) for name, top in tops.items()}


def checked(page) -> tuple[set, list]:
    """The tags of a page, which close in the order in which they opened, and what it would load."""
    opened, tags, loads = [], set(), []
    for end, tag, attributes in re.findall(r"<(/?)([a-z0-9]+)([^>]*)>", page):
        tags.add(tag)
        loads += re.findall(r'(?:src|href|srcset|data)="([^"]*)"', attributes)
        if end:
            assert opened.pop() == tag
        elif tag not in ENDLESS:
            opened.append(tag)
    assert opened == []
    return tags, loads


@pytest.mark.parametrize("name", ["demo", "iu_xray"])
def test_the_page_stands_alone(name, page_of):
    page, _ = page_of[name]
    tags, loads = checked(page)
    assert "script" not in tags and "figure" in tags
    anchors = [load for load in loads if load.startswith("#")]
    assert anchors and all(load.startswith(("#", "data:image/")) for load in loads)
    assert all(f'id="{anchor[1:]}"' in page for anchor in anchors)
    assert "url(" not in page and "@import" not in page and "http" not in re.sub(
        r"data:image/[^\"]*", "", page
    )  # fmt: skip
    assert "prefers-color-scheme: dark" in page and 'name="viewport"' in page


def test_conclusions_tell_the_constant_the_findings_and_the_modules_in_numbers(tmp_path):
    made = project(tmp_path, seeds=(1, 2), only={"main", "rcan-2", "transformer-1", "transformer-2",
                   "rve-1", "rve-2", "nic-1", "oracle_template-1"})  # fmt: skip
    ablations = made.read(floors=floors())
    told = dict(enumerate(words for _, words in conclusions(ablations, scores_sections(ablations))))
    constant = ablations.floors("paper")["best_constant"]["BLEU-4"]
    scores = {cell: ablations.scores[cell, "paper"]["BLEU-4"]["score"]
              for cell in ("rcan", "transformer", "nic")}  # fmt: skip
    higher = sum(score > constant["score"] for score in scores.values())
    assert f"scores BLEU-4 {constant['score']:.3f} [" in told[0]
    assert f"{higher or 'None'} of 3 systems score" in told[0]
    best = max(scores, key=scores.get)
    assert f"The highest is {ablations.title(best)}: {scores[best]:.3f}" in told[0]
    assert "of 2 combinations of the paper's modules raise" in told[1]
    assert "beyond the noise of studies and seeds; " in told[1]
    table4 = [of for of in scores_sections(ablations) if of.name == "table4"]
    assert conclusions(ablations, table4) == [("table4", told[1])]  # of tables that there are


def test_with_nothing_run_there_is_no_conclusion(tmp_path):
    ablations = project(tmp_path, only=set()).read()
    assert conclusions(ablations, scores_sections(ablations)) == []


def test_the_page_holds_every_table_both_figures_the_ledger_and_a_command_a_run(demo, page_of):
    page, out = page_of["demo"]
    for name in ("table2", "table3", "table4", "table5", "fig5", "readings", "controls", "ledger"):
        assert f'<section id="{name}">' in page
    for name in ("fig3", "fig5", "systems", "systems-wide-dark"):
        inside = base64.b64encode((out.tables / f"{name}.svg").read_bytes()).decode()
        assert inside in page
    assert "All rows of Table 3 and Table 4 that are run" in page
    assert "It builds the gate inside <code>decode()</code>" in page
    for model in demo.models.values():
        for run in model.runs:
            reading = run.place.removesuffix("-1") in demo.cells.of_readings
            stage = "evaluate_reading" if reading else "evaluate"
            stage = "controls" if model.cell in CONTROLS else f"{stage}@{run.place}"
            assert run.place == "main" or re.search(f"ablations/dvc.yaml:{stage}\\b", page)


def pixels_in(page: str) -> list[list[int]]:
    """Every picture of pixels that the page holds, whatever its kind."""
    held = re.findall(r"data:image/(?!svg)[a-z]+;base64,([^\"]+)", page)
    return [list(Image.open(io.BytesIO(base64.b64decode(one))).convert("L").tobytes())
            for one in held]  # fmt: skip


def test_drawings_that_show_images_are_in_the_page_of_the_demo_alone(demo, iu_xray, tmp_path):
    pages = {}
    for name, ablations in (("demo", demo), ("iu", iu_xray)):
        top = tmp_path / name
        drawing = places(top).examples / "fig4.png"
        drawing.parent.mkdir(parents=True)
        Image.new("L", (9, 9)).save(drawing)
        pages[name] = written(ablations, top)
        assert pixels_in(pages[name]) == ([[0] * 81] if name == "demo" else [])
    assert "it stays on the machine, in <code>reports/examples/fig4.png" in pages["iu"]
    assert "fig6.png" in pages["iu"] and "Not drawn yet" in pages["demo"]
    assert "All at once: <code>dvc repro ablations/dvc.yaml</code>" in pages["demo"]


def test_a_restricted_data_set_is_named_like_any_other_and_shows_nothing(tmp_path):
    ablations = project(tmp_path / "p", data="mimic_cxr", only={"main"}).read()
    drawing = places(tmp_path).examples / "fig6.png"
    drawing.parent.mkdir(parents=True)
    Image.new("L", (9, 9)).save(drawing)
    page = written(ablations, tmp_path)
    assert "MIMIC-CXR, scale full" in page
    assert pixels_in(page) == []
    assert base64.b64encode(drawing.read_bytes()).decode() not in page


def test_the_page_says_how_much_is_run_and_whose_numbers_are_whose(iu_xray, page_of):
    page, _ = page_of["iu_xray"]
    done = sum(run.result is not None for m in iu_xray.models.values() for run in m.runs)
    total = sum(len(m.runs) for m in iu_xray.models.values())
    assert f"{done} of {total} runs are here" in page and done < total
    page, _ = page_of["demo"]
    assert "They say nothing about the paper" in page
    assert "the paper's numbers stand beside ours" not in page.lower()


def test_with_nothing_run_the_page_says_so(tmp_path):
    page = written(project(tmp_path / "p", only=set()).read(), tmp_path)
    assert (
        "<picture>" not in page
        and "0 of " in page
        and "not run" in page
        and "findings" not in page.split("<nav>")[1][:900]
    )


def test_findings_of_an_earlier_run_do_not_stay(tmp_path):
    stale = places(tmp_path).tables / "findings.md"
    stale.parent.mkdir(parents=True)
    stale.touch()
    written(project(tmp_path / "p", only=set()).read(), tmp_path)
    assert not stale.exists()


def test_without_the_ledger_nothing_is_written(tmp_path, demo):
    no_ledger = Places(*(tmp_path / name for name in ("t", "e", "fig4.csv", "i.html", "none.md")))
    with pytest.raises(UserError, match=r"none\.md: expected how the paper was read"):
        write_ablations(demo, no_ledger)
    assert not list(tmp_path.iterdir())


def pixels(path):
    """A figure's pixels; it must have some ink, and a white rim: nothing runs off the edge."""
    found = np.asarray(Image.open(path).convert("L"))
    assert (found < 128).mean() > 0.002
    rim = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    assert (rim == 255).all()
    return found


@pytest.mark.parametrize("draw", [figure_3, figure_5])
@pytest.mark.parametrize("only", [None, {"main", "lambda_0.1-1"}, set()])
def test_figures_of_all_some_and_no_cells(tmp_path, draw, only):
    ablations = project(tmp_path / "p", data="iu_xray", only=only).read()
    draw(ablations, tmp_path / "figure.png")
    pixels(tmp_path / "figure.png")
    text = (tmp_path / "figure.svg").read_text()
    assert "<svg" in text and "<text" not in text  # words are drawn: no font is needed


def test_figures_differ_with_the_scores_that_they_show(page_of):
    for name in ("fig3.png", "fig5.png"):
        drawings = [(out.tables / name).read_bytes() for _, out in page_of.values()]
        assert drawings[0] != drawings[1]


def test_the_command_of_all_has_the_settings_at_hand(tmp_path):
    command = "dvc exp run -S data.name=iu_xray"
    ablations = project(tmp_path / "p", data="iu_xray", only={"main"}).read(command)
    asked = "dvc exp run ablations/dvc.yaml -S data.name=iu_xray"
    assert f"All at once: <code>{asked}</code>" in written(ablations, tmp_path)
