"""What a training depends on besides torch and the device, told without loading torch."""

import hashlib
import os
from pathlib import Path
from typing import Any

from rcan.config import Settings
from rcan.data.store import read_summary
from rcan.files import sha256_of

CODE = (  # as the deps of stage train
    "config", "data/batches.py", "data/features.py", "data/store.py",
    "evaluation/bleu.py", "evaluation/diagnostics.py",
    "evaluation/kept_floors.py", "files.py", "generation", "model", "reading.py",
    "text/tokenizer.py", "training",
)  # fmt: skip


def input_parts(settings: Settings, processed: Path, tokenizer: Path) -> dict[str, Any]:
    """Settings, pretrained weights, data, tokenizer and code."""
    used = settings.used()
    used.pop("demo", None)  # its studies are part of the data's digest
    weights = Path(settings.visual.weights)
    return {
        "settings": used,
        "weights": sha256_of(weights) if os.path.isfile(weights) else None,
        "data": read_summary(processed)["digest"],
        "tokenizer": sha256_of(tokenizer),
        "code": code_digest(*CODE),
    }


def code_digest(*packages: str) -> str:
    """SHA-256 over the source of rcan's files or packages named, such as `model` or `files.py`."""
    top = Path(__file__).resolve().parents[1]
    sha = hashlib.sha256()
    for name in sorted(packages):
        place = top / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            sha.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()
