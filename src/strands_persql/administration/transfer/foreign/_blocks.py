"""The content of other libraries' messages as content blocks of Strands'. Pure: no I/O."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, cast

from ....database.encoding import mapping
from .._items import Document

_DATA_URI = re.compile(r"data:(?P<mime>[\w.+/-]+)(?:;[\w=.+-]+)*;base64,(?P<data>.*)", re.DOTALL)

_IMAGES = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
_DOCUMENTS = {
    "pdf": "pdf", "csv": "csv", "html": "html", "plain": "txt", "markdown": "md", "txt": "txt", "md": "md",
    "msword": "doc", "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "vnd.ms-excel": "xls", "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
_VIDEOS = {"mp4": "mp4", "webm": "webm", "quicktime": "mov", "x-matroska": "mkv", "mpeg": "mpeg", "x-flv": "flv"}
"""The media that Strands has a block for, by what stands behind the slash of their type."""


def text_block(text: object) -> list[Document]:
    """A text; nothing where it is blank, which models refuse."""
    return [{"text": text}] if isinstance(text, str) and text.strip() else []


def tool_use(tool_use_id: object, name: object, arguments: object) -> Document:
    """A tool use; its arguments as a JSON object or the text of one."""
    return {"toolUse": {"toolUseId": str(tool_use_id or ""), "name": str(name or ""), "input": arguments_of(arguments)}}


def arguments_of(arguments: object) -> Any:
    """A tool's arguments as an object; of what is none, one with it under `arguments`."""
    value: Any = arguments
    if isinstance(arguments, str):
        try:
            value = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            value = arguments
    if value is None:
        return {}
    return cast("Any", value) if isinstance(value, dict) else {"arguments": value}


def tool_result(tool_use_id: object, content: list[Document], *, failed: bool = False) -> Document:
    """A tool's result."""
    status = "error" if failed else "success"
    return {"toolResult": {"toolUseId": str(tool_use_id or ""), "status": status, "content": content}}


def result_content(value: object) -> list[Document]:
    """What a tool has answered: a text, content parts, or any JSON."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"text": value}]
    if isinstance(value, list) and all(isinstance(part, dict) and "type" in part for part in cast("list[Any]", value)):
        blocks, rest = parts(cast("object", value))
        if not rest:
            return blocks
    return [{"json": value}]


def reasoning(text: object, signature: object = None) -> list[Document]:
    """What a model has thought; nothing where that is empty."""
    if not isinstance(text, str) or not text:
        return []
    signed = {"signature": signature} if isinstance(signature, str) and signature else {}
    return [{"reasoningContent": {"reasoningText": {"text": text, **signed}}}]


def media(mime: object, data: object, name: object = None) -> Document | None:
    """An image, a document or a video; None where Strands has no block for it.

    Args:
        mime: Its media type.
        data: Its bytes in base64.
        name: A document's name.
    """
    if not isinstance(mime, str) or not isinstance(data, str):
        return None
    raw = _decoded(data)
    if raw is None:
        return None
    family, _, kind = mime.lower().partition("/")
    source = {"source": {"bytes": {"__bytes_encoded__": True, "data": base64.b64encode(raw).decode()}}}
    if family == "image" and kind in _IMAGES:
        return {"image": {"format": _IMAGES[kind], **source}}
    if family == "video" and kind in _VIDEOS:
        return {"video": {"format": _VIDEOS[kind], **source}}
    if family in ("application", "text") and kind in _DOCUMENTS:
        # Models take few characters in a document's name.
        title = re.sub(r"[^\w\s()\[\]-]", "-", name) if isinstance(name, str) and name.strip() else "document"
        return {"document": {"format": _DOCUMENTS[kind], "name": title, **source}}
    return None


def _decoded(data: str) -> bytes | None:
    """Bytes from base64, also of the alphabet for addresses."""
    try:
        return base64.b64decode(data.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        return None


def media_of_uri(uri: object, name: object = None) -> Document | None:
    """The same, from a `data:` URI."""
    match = _DATA_URI.fullmatch(uri) if isinstance(uri, str) else None
    return None if match is None else media(match["mime"], match["data"], name)


def parts(content: object) -> tuple[list[Document], list[Document]]:
    """The content of a message: a text, or parts as OpenAI, Anthropic or LangChain write them.

    Returns:
        The content blocks; and the parts that Strands has no block for, each of which is named in the place where it
        stood.
    """
    if isinstance(content, str):
        return text_block(content), []
    blocks: list[Document] = []
    rest: list[Document] = []
    for part in cast("list[Any]", content) if isinstance(content, list) else []:
        if isinstance(part, str):
            blocks += text_block(part)
            continue
        document = mapping(part)
        if document.get("type") in ("tool_use", "function_call", "tool_call", "input_json_delta"):
            continue  # the message has it among its tool calls
        found = _part(document)
        if found is None:
            rest.append(document)
            found = [{"text": f"[{_named(document)}]"}]
        elif document.get("annotations") or document.get("citations"):
            rest.append({name: value for name, value in document.items() if name in ("annotations", "citations")})
        blocks += found
    return blocks, rest


def _named(part: Mapping[str, Any]) -> str:
    """What a part is, in a word or two that say nothing of its content."""
    kind, mime = part.get("type"), part.get("mime_type")
    name = kind if isinstance(kind, str) and re.fullmatch(r"\w{1,40}", kind) else "something"
    return f"{name} {mime}" if isinstance(mime, str) and re.fullmatch(r"[\w.+/-]{1,80}", mime) else name


def _part(part: Document) -> list[Document] | None:
    """The blocks of one part; None where Strands has none for it."""
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text", "summary_text", "reasoning_text") or (
        kind is None and "text" in part
    ):
        return text_block(part.get("text"))
    if kind == "refusal":
        return text_block(part.get("refusal"))
    if kind == "thinking":
        return reasoning(part.get("thinking"), part.get("signature"))
    if kind == "reasoning":
        return reasoning(part.get("reasoning") or part.get("text"), part.get("signature"))
    block = _media_part(part)
    return None if block is None else [block]


def _media_part(part: Document) -> Document | None:
    url, file, source = part.get("image_url"), mapping(part.get("file")), mapping(part.get("source"))
    name = part.get("filename") or file.get("filename") or part.get("title") or part.get("name")
    if source.get("type") == "base64":
        return media(source.get("media_type"), source.get("data"), name)
    for data in (part.get("base64"), part.get("data")):
        if data is not None:
            return media(part.get("mime_type"), data, name)
    uri = url if isinstance(url, str) else mapping(url).get("url")
    return media_of_uri(uri or part.get("file_data") or file.get("file_data") or part.get("url"), name)
