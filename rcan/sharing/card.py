"""The model card: what a model is, what it scored beside its floors, and what it is not for."""

import json
from collections.abc import Mapping
from typing import Any

from rcan.config import Settings
from rcan.data.sets import TITLES, data_set
from rcan.evaluation.schema import FLOOR_NAMES
from rcan.evaluation.scores import METRICS
from rcan.table import Table, measured

PAPER = (
    "X. Hou, X. Li, Z. Liu, S. Sang, M. Lu, Y. Zhang. Recalibrated cross-modal alignment network "
    "for radiology report generation with weakly supervised contrastive learning"
)
RESTRICTED = (
    "The data set is restricted. The words in tokenizer.json and the weights are derived from it: "
    "whoever exported this model stated to be allowed to share it, and whoever hands it on must "
    "be, too."
)
IMAGENET = "The CNN started from torchvision's ImageNet weights, which have terms of their own."
_PROTOCOLS = {
    "strict": "References are the whole cleaned reports.",
    "paper": "As the field scores: references are cut to the model's length, rare words `<unk>`.",
}


def model_card(
    config: Mapping[str, Any], settings: Settings, scores: Mapping[str, Any] | None
) -> str:
    """README.md of an exported model; `scores` of scores.json, None where there are none."""
    name, data = config["name"], config["data"]
    is_rcan = settings.model.family == "rcan"
    title = "RCAN" if is_rcan else settings.family.title(settings)
    parts = [
        _header(config, scores),
        f"# {title} on {TITLES[data]}: {name}",
        "**Not for clinical use.** A research model that writes a radiology report for chest "
        "X-rays. Its reports may be fluent and wrong: nobody's care may depend on one.",
        *([f"A reproduction of the paper: {PAPER}."] if is_rcan else []),
        f"## Data\n\n{data_set(data).what}",
        f"## Terms\n\n{_terms(config, settings)}",
        f"## How it was trained\n\n{_training(config, settings)}",
        f"## Scores\n\n{_scores(scores)}",
        f"## Limits\n\n{_limits(config, settings)}",
        f"## Use\n\n{_use()}",
        f"## Files\n\n{_files(config, scores is not None)}",
    ]
    return "\n\n".join(parts) + "\n"


def _header(config: Mapping[str, Any], scores: Mapping[str, Any] | None) -> str:
    """YAML as on Hugging Face's hub; every value in JSON's quotes, which are YAML's too."""
    quoted = json.dumps
    data = config["data"]
    tags = ["radiology", "chest-x-ray", "report-generation", "rcan", data]
    lines = [
        "---",
        "language: en",
        "library_name: rcan",
        "pipeline_tag: image-to-text",
        "license: other",
        f"license_name: {quoted(f'see Terms, derived from {data}')}",
        f"tags: {quoted(tags)}",
    ]
    if scores:
        row = scores["protocols"]["strict"]["model"]
        lines += [
            "model-index:",
            f"- name: {quoted(config['name'])}",
            "  results:",
            "  - task: {type: image-to-text, name: Radiology report generation}",
            f"    dataset: {{type: {quoted(data)}, name: {quoted(TITLES[data])}, "
            f"split: {quoted(scores['split'])}}}",
            "    metrics:",
        ]
        lines += [
            f"    - {{type: {metric.partition('-')[0].lower()}, name: {quoted(metric)}, "
            f"value: {row[metric]['score']:.4f}}}"
            for metric in METRICS
        ]
    return "\n".join([*lines, "---"])


def _terms(config: Mapping[str, Any], settings: Settings) -> str:
    said = [data_set(config["data"]).terms]
    if config["restricted"]:
        said.append(RESTRICTED)
    if settings.visual.weights == "imagenet":
        said.append(IMAGENET)
    return " ".join(said)


def _training(config: Mapping[str, Any], settings: Settings) -> str:
    train, visual, model = settings.train, settings.visual, settings.model
    state = "frozen" if visual.frozen else "trained"
    decoder = f"width {model.d_model}"
    if "num_encoder_layers" in settings.family.reads:
        layers = f"{model.num_encoder_layers} + {model.num_decoder_layers} layers"
        decoder = f"a Transformer of {decoder} with {layers}"
    kept = "the last" if train.choose == "last" else "chosen by validation BLEU-4"
    return (
        f"`{config['name']}`: {visual.backbone} ({state}, from "
        f"{'ImageNet' if visual.weights == 'imagenet' else 'random weights or a file'}) on "
        f"{visual.crop} pixels, {settings.data.num_views} view(s) a study; {decoder}. "
        f"{train.optimizer}, {train.epochs} epochs of batches of {train.batch_size}, "
        f"seed {train.seed}; the weights are of epoch {config['epoch']}, {kept}. Validation chose "
        f"the length penalty, {config['length_penalty']:g}. Beam search of width "
        f"{settings.generate.beam_size}, {settings.data.max_length} words at most. All settings "
        "are in config.json."
    )


def _scores(scores: Mapping[str, Any] | None) -> str:
    if scores is None:
        return "This model was exported without scores: nothing is known of how good it is."
    parts = [
        f"{scores['num_studies']} studies of the {scores['split']} split; 95 % intervals over "
        "studies in brackets. A floor is what one report scores that is the same for every study: "
        "a model that does not clear it does no better than one report for everybody. Overlap of "
        "words is not correctness."
    ]
    for protocol, meaning in _PROTOCOLS.items():
        systems = scores["protocols"].get(protocol)
        if systems:
            parts.append(f"### {protocol.capitalize()} protocol\n\n{meaning}\n\n{_table(systems)}")
    found = scores["diagnostics"]
    parts.append(
        f"{found['distinct_reports']} different reports for {found['num_studies']} studies, the "
        f"commonest for {found['top_share']:.0%}; {found['copied_from_train']:.0%} word for word "
        f"from training.\n\n`{scores['signature']}`"
    )
    return "\n\n".join(parts)


def _table(systems: Mapping[str, Any]) -> str:
    rows = {
        "model": systems["model"],
        **{name: systems["floors"][floor] for floor, name in FLOOR_NAMES.items()},
    }
    scores = [[metric, *(measured(row[metric]) for row in rows.values())] for metric in METRICS]
    return Table(["", *rows], scores).markdown()


def _limits(config: Mapping[str, Any], settings: Settings) -> str:
    said = [
        "It writes a report for any picture, a photograph too: it cannot tell what is no chest "
        "X-ray.",
        "It knows the places, machines and habits of wording of one data set; elsewhere it will do "
        "worse, and nobody has measured by how much.",
        "It names what is frequent more readily than what is rare, and may tell of earlier studies "
        "that it never saw.",
        f"It was trained on {settings.data.num_views} view(s) a study; of fewer, the last one is "
        "repeated.",
        f"`log_probability` says how usual the wording is among the reports of {config['data']}, "
        "not whether it is right.",
    ]
    return "\n".join(f"- {line}" for line in said)


def _use() -> str:
    return (
        "```sh\nrcan generate --model . chest.png          # PNG, JPEG or DICOM; a folder is one "
        "study\nrcan generate --model . --json folder/     # score and tokens, too\n```\n\n"
        "Loading reads safetensors and JSON alone, runs no code of this folder, and checks the "
        "digests in config.json."
    )


def _files(config: Mapping[str, Any], scored: bool) -> str:
    digests = "\n".join(f"| {name} | `{sha}` |" for name, sha in sorted(config["sha256"].items()))
    also = " scores.json: all scores, numbers alone." if scored else ""
    return f"| file | SHA-256 |\n|---|---|\n{digests}\n\nconfig.json: settings and digests.{also}"
