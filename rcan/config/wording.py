"""What may stand at a key, in words."""

from typing import Any

from pydantic import BaseModel

NOUNS = {
    "integer": "a whole number", "number": "a number", "string": "a text",
    "boolean": "true or false", "null": "empty",
}  # fmt: skip
BOUNDS = {
    "minimum": "at least", "exclusiveMinimum": "above",
    "maximum": "at most", "exclusiveMaximum": "below",
}  # fmt: skip


def allowed(section: type[BaseModel], field: str) -> str:
    """`it must be ...`, read from the JSON schema of the field."""
    schema = section.model_json_schema()["properties"][field]
    return f"it must be {' or '.join(_words(s) for s in schema.get('anyOf', [schema]))}"


def _words(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"][:-1])) + f" or {schema['enum'][-1]}"
    if "$ref" in schema:
        return "a section of keys"
    if schema["type"] == "array":
        most = f"to {schema['maxItems']}" if "maxItems" in schema else "or more"
        return f"a list of {schema['minItems']} {most}, each {_words(schema['items'])}"
    if schema["type"] == "string" and "minLength" in schema:
        return "a text that is not empty"
    limits = [f"{word} {_plain(schema[name])}" for name, word in BOUNDS.items() if name in schema]
    return " ".join([NOUNS[schema["type"]], " and ".join(limits)]).strip()


def _plain(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)
