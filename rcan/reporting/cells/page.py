"""The one page: what was run, all tables and figures, the ledger of readings, every command.

It stands alone: no script, no network, figures inside; light or dark as the reader's machine is.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from PIL import Image

from rcan.ablation.cells import FULL
from rcan.evaluation.diagnostics import is_collapsed
from rcan.reading import read_bytes
from rcan.reporting.cells.runs import Run
from rcan.reporting.cells.study import Ablations
from rcan.reporting.cells.wording import data_name, listed
from rcan.reporting.markdown import to_html
from rcan.reporting.published import rcan_row
from rcan.table import Section, marked, measured

_AFTER = {"fig3": "table4", "fig5": "fig5"}  # a figure -> the table that it stands behind
_CAPTIONS = {
    "fig3": "Figure 3. The modules on and off, six metrics.",
    "fig5": "Figure 5. Three metrics against λ.",
    "fig4": "Figure 4. Attention over the images for chosen words, three models side by side.",
    "fig6": "Figure 6. Case studies: image, reference, and what three models wrote.",
}


def page(
    ablations: Ablations, tables: Sequence[Section], figures: Mapping[str, Path],
    shown: Mapping[str, Path], ledger: str,
) -> str:  # fmt: skip
    """The page as HTML.

    Args:
        figures: name -> drawing of numbers alone.
        shown: name -> drawing that shows images and report text: only its name is told unless the
            data are drawn ones.
        ledger: Markdown, how the paper was read and what does not agree.
    """
    title = f"RCAN reproduced: {data_name(ablations.data)}, scale {ablations.settings.scale}"
    blocks = [f"<h1>{html.escape(title)}</h1>", _opening(ablations), _contents(tables)]
    for table in tables:
        blocks.append(table.html())
        blocks += [
            _figure(name, figures[name]) for name, behind in _AFTER.items() if behind == table.name
        ]
    blocks += ['<section id="examples"><h2>Figures 4 and 6</h2>']
    blocks += [_shown(ablations, name, path) for name, path in shown.items()]
    blocks += ["</section>", _commands(ablations)]
    blocks += [f'<section id="ledger">{to_html(ledger, least=2)}</section>']
    return _document(title, "\n".join(blocks))


def _document(title: str, body: str) -> str:
    css = files("rcan.reporting.cells").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{css}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _opening(ablations: Ablations) -> str:
    runs = _runs(ablations)
    done = [run for run in runs if run.result]
    pointers = sum(run.place != run.name for run in runs)
    seeds = sorted({run.seed for run in runs})
    lines = [
        f'<p><span class="badge">{html.escape(ablations.ground())}</span></p>',
        _about_the_data(ablations),
        f"<p>{len(done)} of {len(runs)} runs are here: {len(ablations.models)} cells, "
        f"seed{'s' if len(seeds) > 1 else ''} {listed([str(seed) for seed in seeds])}; "
        f"{pointers} equal another run and were trained once with it. A cell that is not run says "
        f"so, with its command. Tables made at commit <code>{ablations.settings.commit}</code>, "
        f"data digest <code>{ablations.summary['digest']}</code>.</p>",
        _first_result(ablations),
    ]
    return "\n".join(line for line in lines if line)


def _runs(ablations: Ablations) -> list[Run]:
    return [run for model in ablations.models.values() for run in model.runs]


def _about_the_data(ablations: Ablations) -> str:
    if rcan_row(ablations.data):
        told = (
            "The paper's numbers come from its own data, model and machine, and without an "
            "interval. Scale small is a model far smaller than the paper's: it shows that the "
            "pipeline runs on real X-rays, not what the paper's model can do."
            if ablations.settings.scale == "small"
            else "The paper's numbers stand beside ours, and come without an interval."
        )
    else:
        told = (
            f"All numbers called ours are of {data_name(ablations.data)}. They say nothing about "
            "the paper's, which stand apart, each under the name of its own data."
        )
    return f'<p class="warn">{html.escape(told)}</p>'


def _first_result(ablations: Ablations) -> str:
    scores, floors = ablations.scores.get((FULL, "strict")), ablations.floors("strict")
    if not scores or not floors:
        return ""
    model, floor = scores["BLEU-4"], floors["best_constant"]["BLEU-4"]
    looked = [
        r.scores["controls"]["image_swap"]["strict"]["model"]["BLEU-4"]["score"]
        for r in ablations.model(FULL).results
    ]
    same = [r for r in ablations.results if is_collapsed(r.scores["diagnostics"])]
    ours = measured({key: model[key] for key in ("score", "low", "high")})
    told = (
        f"The full model scores BLEU-4 {ours} (strict protocol); one report given to every study "
        f"scores {floor['score']:.3f}, and the model given another study's images "
        f"{sum(looked) / len(looked):.3f}."
    )
    if same:
        told += (
            f" Collapsed, one or a few reports for all studies: {listed([r.place for r in same])}."
        )
    return f"<p>{html.escape(told)}</p>"


def _contents(tables: Sequence[Section]) -> str:
    links = [(table.name, table.title.split(":")[0]) for table in tables]
    links += [
        ("examples", "Figures 4 and 6"),
        ("commands", "Commands"),
        ("ledger", "How the paper was read"),
    ]
    anchors = [f'<a href="#{to}">{html.escape(name)}</a>' for to, name in links]
    return f"<nav>{' '.join(anchors)}</nav>"


def _figure(name: str, path: Path) -> str:
    told = html.escape(_CAPTIONS[name])
    return (
        f'<figure class="wide"><img alt="{told}" src="{_inlined(path)}">'
        f"<figcaption>{told}</figcaption></figure>"
    )


def _inlined(path: Path) -> str:
    """A figure as an address that holds it; pixels in a tenth of a PNG's bytes."""
    content, kind = read_bytes(path, "a figure", "run `python -m pipeline.tables` again"), "svg+xml"
    if path.suffix == ".png":
        packed, kind = io.BytesIO(), "webp"
        Image.open(io.BytesIO(content)).convert("RGB").save(packed, "WEBP", quality=85)
        content = packed.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _shown(ablations: Ablations, name: str, path: Path) -> str:
    told, place = _CAPTIONS[name], "/".join(path.parts[-3:])
    if ablations.data != "demo":
        told += f" It shows patients: once drawn, it stays on the machine, in `{place}`."
    elif path.is_file():
        return _figure(name, path)
    else:
        told += " Not drawn yet."
    return f"<p>{marked(told)}</p>"


def _commands(ablations: Ablations) -> str:
    rows = "".join(
        f'<tr class="{"ours" if run.result else "missing"}"><td class="words">{run.name}</td>'
        f'<td class="words">{"run" if run.result else "not run"}</td>'
        f'<td class="words"><code>{html.escape(ablations.command_of(run))}</code></td></tr>'
        for run in _runs(ablations)
    )
    return (
        '<section id="commands"><h2>The command behind every number</h2>'
        f"<p>All at once: <code>{html.escape(ablations.command_of_all())}</code>. A run by "
        "itself:</p>"
        '<details><summary>One command a run</summary><div class="wide"><table><thead><tr>'
        "<th>run</th><th class=words>state</th><th class=words>command</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details></section>"
    )
