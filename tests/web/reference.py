"""The REST reference in the page on the web service, made of the OpenAPI document.

python -m tests.web.reference        writes it into the page
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from strands_persql.web._openapi import document
from strands_persql.web._operations import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "web-service.md"
BEGIN, END = "<!-- made from the OpenAPI document -->\n\n", "\n<!-- until here -->\n"


def between(page: str) -> str:
    """What stands in the page between the two marks."""
    return page.split(BEGIN, 1)[1].split(END, 1)[0]


def reference(told: dict[str, Any]) -> str:
    """The reference: the operations, then what their answers consist of."""
    operations = [
        _operation(method.upper(), path, operation)
        for path, operations in told["paths"].items()
        for method, operation in operations.items()
    ]
    said = "All fields of a schema are there in every answer. `Problem` is told under [Errors](#errors)."
    schemas = [_schema(name, each) for name, each in told["components"]["schemas"].items() if name != "Problem"]
    return "\n\n".join([*operations, "### Schemas", said, *schemas])


def _schema(name: str, told: dict[str, Any]) -> str:
    lines = [f"#### `{name}`", "", *_wrapped(told["description"]), ""]
    for field, schema in told["properties"].items():
        about = f": {schema['description']}" if "description" in schema else ""
        first, *rest = _wrapped(f"- `{field}`, {_form(schema)}{about}")
        lines += [first, *(f"  {each}" for each in rest)]
    return "\n".join(lines)


def _form(schema: dict[str, Any]) -> str:
    """What a field holds, in words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_form(each) for each in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"array of {_form(schema['items'])}"
    return _kind(schema) if "type" in schema else "anything"


def _operation(method: str, path: str, told: dict[str, Any]) -> str:
    lines = [f"### `{method} {path}`", "", f"`{told['operationId']}`: {told['summary']}"]
    if "description" in told:
        lines += ["", *_wrapped(told["description"])]
    rows = [(each["name"], each["in"], _kind(each["schema"]), each["description"]) for each in told["parameters"]]
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    rows += [(name, "body", _kind(each), each["description"]) for name, each in body.get("properties", {}).items()]
    if rows:
        lines += ["", "| parameter | in | type | |", "| --- | --- | --- | --- |"]
        lines += [f"| `{name}` | {place} | {kind} | {said} |" for name, place, kind, said in rows]
    status, answer = next(iter(told["responses"].items()))
    schema: dict[str, Any] = next((each["schema"] for each in answer.get("content", {}).values()), {})
    form = f" (`{schema['$ref'].rpartition('/')[2]}`)" if "$ref" in schema else ""
    lines += ["", f"Answers {status}: {answer['description'].rstrip('.')}{form}."]
    return "\n".join(lines)


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{each}`" if each else "empty" for each in schema["enum"])
    kind = schema["type"]
    kinds = kind if isinstance(kind, list) else [kind]
    most = f", {schema['minimum']} to {schema['maximum']}" if "maximum" in schema else ""
    return " or ".join(kinds) + most + (f" ({schema['default']})" if "default" in schema else "")


def _wrapped(text: str) -> list[str]:
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > 116:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


if __name__ == "__main__":
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + reference(document(OPERATIONS)) + END + rest.partition(END)[2], "utf-8")
