"""What the REST interface offers, as data, and the OpenAPI document made of it.

A resource is one command of ``jsrp``: its words are the path, its values the parameters, its displays the
representations. So whoever knows ``jsrp show chassis cluster status`` knows ``GET /api/v1/show/chassis/cluster/status``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from jsrpd.model.access import Access

ROOT = "/api/v1"
MAX_TEXT = 256
JSON, TEXT, XML = "application/json", "text/plain", "application/xml"
DISPLAYS = {JSON: "json", TEXT: "", XML: "xml"}
"""Representations, by the display of the command; the first one it has is given to who asks for nothing in particular."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value. ``within``: the numbers it may be; ``among``: or the words; neither: a text."""

    name: str
    help: str
    required: bool = False
    within: range | None = None
    among: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema has it."""
        if self.within is not None:
            return {"type": "integer", "minimum": self.within[0], "maximum": self.within[-1]}
        if self.among:
            return {"type": "string", "enum": list(self.among)}
        return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": "^[ -~]+$"}


@dataclass(frozen=True, slots=True)
class Resource:
    """``command``: its words without values. ``changes``: POST, else GET. ``answer``: type of the JSON, where there is one."""

    command: str
    help: str
    parameters: tuple[Parameter, ...]
    representations: tuple[str, ...]
    access: Access
    changes: bool = False
    answer: Any = None

    @property
    def path(self) -> str:
        """Below the host."""
        return f"{ROOT}/{self.command.replace(' ', '/')}"


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused, in the words that ``jsrp`` would print."""

    error: str


class Done(msgspec.Struct, frozen=True):
    """What an order was answered, and by which node."""

    text: str
    node: int | None = None


PROBLEMS = {
    "400": "a value is missing, unknown, or out of its range",
    "401": "a token is needed or not known (over TCP)",
    "403": "this client may not",
    "406": "there is no such representation",
    "409": "refused by the cluster, which says why",
    "413": "the request is too long",
    "415": "a body must be application/json",
    "429": "too many wrong tokens from this address",
    "503": "the engine does not answer, or too much is asked at once",
}


def document(resources: Iterable[Resource], stream: str, version: str) -> dict[str, Any]:
    """OpenAPI 3.1. ``stream``: path of the server-sent events."""
    found = list(resources)
    types = [resource.answer for resource in found if resource.answer is not None]
    schemas, components = msgspec.json.schema_components([Problem, Done, *types], ref_template="#/components/schemas/{name}")
    answers = dict(zip([resource.command for resource in found if resource.answer is not None], schemas[2:], strict=True))
    _failures_as_words(components)
    paths: dict[str, Any] = {}
    for resource in found:
        answer = schemas[1] if resource.changes and resource.answer is None else answers.get(resource.command, {})
        paths[resource.path] = {"post" if resource.changes else "get": _operation(resource, answer)}
    paths[stream] = {"get": _stream()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jsrpd",
            "version": version,
            "description": "What jsrp can show, request and clear; the words of a command are its path.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _operation(resource: Resource, answer: Mapping[str, Any]) -> dict[str, Any]:
    content = {kind: {"schema": answer if kind == JSON else {"type": "string"}} for kind in resource.representations}
    operation: dict[str, Any] = {
        "operationId": resource.command.replace(" ", "-"),
        "summary": resource.help,
        "description": f"`jsrp {resource.command}`. Needs the access {resource.access.value}.",
        "responses": {"200": {"description": "as asked", "content": content}, **_problems()},
    }
    if not resource.changes:
        operation["parameters"] = [
            {"name": one.name, "in": "query", "description": one.help, "required": one.required, "schema": one.schema}
            for one in resource.parameters
        ]
        return operation
    body: dict[str, Any] = {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.help} for one in resource.parameters},
        "additionalProperties": False,
    }
    required = [one.name for one in resource.parameters if one.required]
    if required:
        body["required"] = required
    operation["requestBody"] = {"required": bool(required), "content": {JSON: {"schema": body}}}
    return operation


def _problems() -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code: {"description": text, "content": content} for code, text in PROBLEMS.items()}


def _stream() -> dict[str, Any]:
    return {
        "operationId": "stream",
        "summary": "Server-sent events: `status` when something has changed, `journal` for what happened",
        "parameters": [
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}},
        ],
        "responses": {"200": {"description": "for ever", "content": {"text/event-stream": {}}}, **_problems()},
    }


def _failures_as_words(components: dict[str, Any]) -> None:
    """Every display writes a node's monitor failures as operators know them (``IF``, ``IP``), not as bits."""
    row = components.get("GroupNodeStatus")
    if row is not None:
        row["properties"]["failures"] = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
