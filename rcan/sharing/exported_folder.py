"""The folder that a model is handed on in: what lies in it, and reading it back, checked.

model.safetensors: weights. config.json: settings, the length penalty that validation chose, and
digests of the other files and of itself. tokenizer.json. scores.json, where it was scored: numbers
alone. README.md: the model card. Nothing in it is code, and nothing is unpickled.
"""

from pathlib import Path
from typing import Any

from rcan.config import Settings, from_dict
from rcan.errors import UserError, reason_of
from rcan.files import digest_of, sha256_of
from rcan.reading import Shape, read_json, require_file

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
SCORES, CARD = "scores.json", "README.md"
FORMAT = 1
REMEDY = "export the model again, or fetch its folder again"

_CONFIG: Shape = {
    "format": int,
    "name": str,
    "data": str,
    "restricted": bool,
    "epoch": int,
    "length_penalty": (0.0, 10.0),
    "settings": dict,
    "sha256": {WEIGHTS: str, TOKENIZER: str},
    "digest": str,
}


def sealed(config: dict[str, Any]) -> dict[str, Any]:
    """config.json with the digest of all the rest of it."""
    return {**config, "digest": digest_of(config)}


def read_exported(folder: Path) -> tuple[dict[str, Any], Settings]:
    """config.json of an exported folder and its settings, once all its files are what it says.

    Raises `UserError` if a file is missing, damaged or of another model.
    """
    path = folder / CONFIG
    config: dict[str, Any] = read_json(path, dict, "the settings of an exported model", REMEDY)
    if config.get("format") != FORMAT:
        raise UserError(
            f"{path}: expected a model exported in format {FORMAT}, found another; export it again "
            "by this version, or use the version that exported it"
        )
    config = read_json(path, _CONFIG, "the settings of an exported model", REMEDY)
    if config["digest"] != digest_of({k: v for k, v in config.items() if k != "digest"}):
        raise UserError(f"{path}: expected what its digest says, found other content; {REMEDY}")
    for name, digest in config["sha256"].items():
        _require_digest(folder / Path(name).name, digest)
    try:
        return config, from_dict(config["settings"])
    except UserError as error:
        raise UserError(f"{path}: {error}; {REMEDY}") from None


def _require_digest(path: Path, digest: object) -> None:
    try:
        require_file(path)
        found = sha256_of(path)
    except OSError as error:
        raise UserError(
            f"{path}: expected a file of the model ({reason_of(error)}); {REMEDY}"
        ) from None
    if found != digest:
        raise UserError(
            f"{path}: expected the file whose digest config.json has, found another or a damaged "
            f"one; {REMEDY}"
        )
