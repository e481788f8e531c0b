"""What a spec may hold at a place, read from the JSON schema of its shape: for error messages."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from libs.common.spec.integrations import Input
from libs.common.spec.text import IN_WORDS

Path = tuple[str | int, ...]
Node = Mapping[str, Any]


@cache
def _schema(shape: type[Input]) -> Node:
    return shape.model_json_schema()


def _resolved(shape: type[Input], node: Node) -> Iterator[Node]:
    """The node without references, once for each alternative."""
    if "$ref" in node:
        yield from _resolved(shape, _schema(shape)["$defs"][node["$ref"].rpartition("/")[2]])
    elif "discriminator" in node:
        for alternative in node["oneOf"]:
            yield from _resolved(shape, alternative)
    else:
        yield node


def _at(shape: type[Input], path: Path, type_tag: str | None) -> list[Node]:
    """Every node that describes the place; `type_tag` picks the integration that is meant."""
    nodes: list[Node] = [_schema(shape)]
    for step in path:
        inner = [
            n["items"] if isinstance(step, int) else n["properties"].get(step)
            for n in nodes
            if _opens(n, step)
        ]
        nodes = [node for found in inner if found for node in _resolved(shape, found)]
        tagged = [n for n in nodes if type_tag in _type_tags(n)]
        nodes = tagged or nodes
    return nodes


def _opens(node: Node, step: str | int) -> bool:
    return ("items" if isinstance(step, int) else "properties") in node


def _type_tags(node: Node) -> list[str]:
    tag = node.get("properties", {}).get("type", {})
    return [tag["const"]] if "const" in tag else list(tag.get("enum", []))


def known_fields(shape: type[Input], path: Path, type_tag: str | None = None) -> list[str]:
    """The names of the fields of the object at `path`, sorted; empty where no object belongs."""
    return sorted({name for node in _at(shape, path, type_tag) for name in node.get("properties", {})})


def type_tags(shape: type[Input], path: Path) -> list[str]:
    """The values of `type` that choose between the alternatives at `path`."""
    return [tag for node in _at(shape, path, None) for tag in _type_tags(node)]


def allowed(shape: type[Input], path: Path, type_tag: str | None = None) -> list[str] | str | None:
    """A list of the only values allowed, or the constraint in words; None where there is neither."""
    nodes = _at(shape, path, type_tag)
    return _in_words(nodes[0]) if nodes else None


def _in_words(node: Node) -> list[str] | str | None:
    if "enum" in node:
        return list(node["enum"])
    if "const" in node:
        return [node["const"]]
    if "anyOf" in node:
        return ", or ".join(str(_in_words(each)) for each in node["anyOf"])
    match node.get("type"):
        case "null":
            return "null"
        case "integer":
            return "a whole number" + _range_in_words(node)
        case "number":
            return "a number" + _range_in_words(node)
        case "boolean":
            return "true or false"
        case "string":
            return _string_in_words(node)
        case "array":
            least, most = node.get("minItems", 0), node.get("maxItems")
            return f"a list of {least} to {most} values" if most else f"a list of {least} or more values"
        case "object":
            return f"an object with {', '.join(sorted(node.get('properties', {})))}"
        case _:
            return None


def _range_in_words(node: Node) -> str:
    match node:
        case {"minimum": least, "maximum": most}:
            return f" from {least} to {most}"
        case {"minimum": least}:
            return f", at least {least}"
        case {"exclusiveMinimum": limit, "maximum": most}:
            return f" greater than {limit}, at most {most}"
        case {"exclusiveMinimum": limit}:
            return f" greater than {limit}"
        case _:
            return ""


def _string_in_words(node: Node) -> str:
    words = IN_WORDS.get(node.get("pattern", ""), "text")
    least, most = node.get("minLength"), node.get("maxLength")
    if least is not None and most is not None:
        return f"{words}, {least} to {most} characters"
    return f"{words}, at most {most} characters" if most else words
