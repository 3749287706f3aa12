"""Small made-up results on disk, as training, evaluation and preprocessing write them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rcan.config import load_settings
from rcan.evaluation.scores import METRICS
from rcan.files import digest_of, sha256_of, write_csv, write_json

SENTENCES = (
    "the heart is normal in size .", "the lungs are clear .", "there is no pleural effusion .",
    "a small nodule is seen in the right upper lobe .", "the bones are intact .",
    "mild scoliosis is present .",
)  # fmt: skip
KEY = "0123456789abcdef0123456789abcdef"
DIGEST = "d" * 32  # of data that no file holds


def scores_of(
    data: str = "demo", *, model: float = 0.186, constant: float = 0.171, num_studies: int = 240
) -> dict:
    """scores.json with the given BLEU-4 of the model and of the best constant."""
    shape = dict(zip(METRICS, (0.31, 0.15, 0.06, 0.0, 0.03, 0.2), strict=True))

    def row(bleu_4: float, half: float = 0.012) -> dict:
        scores = {metric: bleu_4 + rise for metric, rise in shape.items()}
        return {m: {"score": s, "low": s - half, "high": s + half} for m, s in scores.items()}

    gain = model - constant
    lead = {"difference": gain, "low": gain - 0.01, "high": gain + 0.01, "floor": "best_constant"}
    floors = {"best_constant": row(constant), "most_frequent": row(0.08)}
    return {
        "data": data, "split": "test", "restricted": False, "num_studies": num_studies,
        "data_digest": DIGEST, "run": KEY, "model": "RVE+CGM+WCL tau=0.1 lambda=0.7 seed=1",
        "seed": 1, "epoch": 9, "beam_size": 3, "length_penalty": 0.5,
        "signature": "BLEU and ROUGE-L pycocoevalcap 1.2, METEOR 1.5, 1000 resamples",
        "protocols": {
            "strict": {"model": row(model), "floors": floors},
            "paper": {"model": row(model + 0.004), "floors": floors},
        },
        "floors": {
            "most_frequent": {"text": SENTENCES[1], "chosen_on": "train"},
            "best_constant": {"text": " ".join(SENTENCES[:3]), "chosen_on": "val"},
        },
        "diagnostics": {
            "num_studies": num_studies, "distinct_reports": num_studies // 2, "top_share": 0.03,
            "mean_length": 40.1, "reference_mean_length": 41.0, "copied_from_train": 0.02,
        },
        "beats_floor": {p: {metric: dict(lead) for metric in METRICS} for p in ("strict", "paper")},
        **controls_of(row(model - 0.06), row(model), row(constant), num_studies),
    }  # fmt: skip


def controls_of(swapped: dict, of_model: dict, of_constant: dict, num_studies: int) -> dict:
    """The keys of scores.json that overlap scores do not tell."""
    fall = {"difference": 0.06, "low": 0.04, "high": 0.08, "p": 0.001}
    swap = {"model": swapped, "fall": dict.fromkeys(METRICS, fall)}
    half, third = num_studies // 2, num_studies // 3
    sizes = {
        "in_train": half, "not_in_train": num_studies - half,
        "normal": third, "abnormal": num_studies - third,
    }  # fmt: skip
    group = {"model": of_model, "best_constant": of_constant}
    groups = {name: {"num_studies": size, **group} for name, size in sizes.items()}

    def rates(score: float | None) -> dict:
        value = dict.fromkeys(("score", "low", "high"))
        if score is not None:
            value = {"score": score, "low": score - 0.1, "high": score + 0.1}
        return dict.fromkeys(("precision", "recall", "f1"), value)

    def found(score: float) -> dict:
        counts = {"positives": 30, "predicted": 20, "hits": 10}
        each = {"nodule": {**counts, **rates(score)}, "hernia": {**counts, **rates(None)}}
        return {"macro": rates(score), "micro": rates(score), "per_finding": each}

    return {
        "references": {"strict": "a" * 64, "paper": "b" * 64},
        "controls": {"image_swap": {"strict": swap, "paper": swap}},
        "groups": {"strict": groups, "paper": groups},
        "group_shares": {
            "val": {"num_studies": 12, "in_train": 0.25, "normal": 0.33},
            "test": {"num_studies": num_studies, "in_train": 0.47, "normal": 0.52},
        },
        "findings": {
            "labeler": "words", "num_studies": num_studies, "model": found(0.5),
            "image_swap": found(0.25), "best_constant": found(0.2), "references": found(0.875),
        },
    }  # fmt: skip


def history_of(num_epochs: int = 12) -> list[dict]:
    """Rows of history.csv: losses fall, validation rises and levels off."""
    return [
        {
            "epoch": n,
            "loss": round(3.5 / (1 + 0.3 * n) + 0.4, 4),
            "loss_ce": round(4.2 / (1 + 0.35 * n) + 0.3, 4),
            "loss_wcl": round(2.0 / (1 + 0.15 * n) + 0.5, 4),
            "lr": 1e-4,
            **{
                f"val_BLEU-{k}": round((0.6 - 0.1 * k) * (1 - 0.8**n) - 0.004 * (n % 3), 4)
                for k in (1, 2, 3, 4)
            },
            "length_penalty": 0.5,
        }
        for n in range(1, num_epochs + 1)
    ]


def write_run(
    folder: Path, *, data: str = "demo", data_digest: str = DIGEST, num_epochs: int = 12,
    key: str = KEY, changes: Mapping[str, object] | None = None,
) -> None:  # fmt: skip
    """runs/main without the weights; `changes` are to dotted keys of its settings."""
    config = load_settings(Path(__file__).parents[1] / "params.yaml").of_the_model()
    for dotted, value in {"data.name": data, **(changes or {})}.items():
        section, _, field = dotted.partition(".")
        config[section][field] = value
    write_json(folder / "config.json", config)
    best = {"name": "RVE+CGM+WCL tau=0.1", "epoch": 9, "length_penalty": 0.5}
    best |= {"val": {"BLEU-4": 0.17}, "key": key, "data_digest": data_digest}
    write_json(folder / "best.json", best)
    write_csv(folder / "history.csv", history_of(num_epochs))


def write_evaluation(folder: Path, scores: dict) -> None:
    """data/evaluation/main: a prediction is its reference with one sentence exchanged."""
    write_json(folder / "scores.json", scores)
    rows = []
    for i in range(scores["num_studies"]):
        reference = [SENTENCES[(i + j) % len(SENTENCES)] for j in range(4)]
        prediction = [*reference[:2], SENTENCES[(i * 2) % len(SENTENCES)], *reference[3:]]
        texts = {"reference": " ".join(reference), "prediction": " ".join(prediction)}
        share = round(i / scores["num_studies"], 4)
        rows.append({"id": f"study-{i:03}", **texts, **dict.fromkeys(METRICS, share)})
    write_csv(folder / "predictions.csv", rows)


def write_processed(folder: Path, *, name: str = "demo", num_studies: int = 240) -> str:
    """data/processed: study i has two views, every fourth study only one. Returns its digest."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[:48, :48] / 48
    for split, count in (("train", 8), ("val", 12), ("test", num_studies)):
        lines, images = [], []
        for i in range(count):
            projections = ["frontal"] if i % 4 == 3 else ["frontal", "lateral"]
            views = [
                {"row": len(images) + k, "projection": name} for k, name in enumerate(projections)
            ]
            text = " ".join(SENTENCES[(i + k) % len(SENTENCES)] for k in range(3))
            study = {"id": f"study-{i:03}", "report": text, "text": text, "labels": None}
            lines.append(json.dumps({**study, "views": views}) + "\n")
            images += [255 * (x * y + 0.1 * i + 0.3 * k) % 256 for k in range(len(views))]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        np.save(folder / f"{split}.npy", np.stack(images).astype(np.uint8))
    return write_summary(folder, name=name, image_size=48)


def write_summary(folder: Path, *, name: str = "demo", image_size: int) -> str:
    """summary.json of the splits that are there; of others it tells made-up numbers. Returns the
    digest."""
    splits, files = {}, {}
    for split in ("train", "val", "test"):
        path = folder / f"{split}.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        views = [json.loads(line)["views"] for line in lines]
        splits[split] = {"studies": len(views), "images": sum(map(len, views))}
        for file in (path, path.with_suffix(".npy")):
            files[file.name] = sha256_of(file) if file.exists() else "0" * 64
    summary = {"name": name, "image_size": image_size, "splits": splits, "files": files}
    digest = digest_of(files)
    write_json(folder / "summary.json", summary | {"problems": {}, "digest": digest})
    return digest
