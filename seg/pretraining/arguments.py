"""Arguments as nested mappings: unknown names and values of another kind are refused."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from seg.errors import SpecMismatch

T = TypeVar("T")


def read_arguments(kind: type[T], values: Mapping[str, Any], name: str) -> T:
    """Builds a dataclass from what was given; the rest keeps its default.

    Args:
        kind: The dataclass; its fields may be dataclasses themselves, given as mappings.
        values: Values by the names of the fields.
        name: What the mapping is called in messages.

    Raises:
        SpecMismatch: There is no such argument, or its value has another kind or makes no sense.
    """
    return _read(kind, values, None, name)


def _read(kind: type[T], values: object, default: Any, name: str) -> T:
    if not isinstance(values, Mapping):
        raise SpecMismatch(f"{name} is {values!r}; expected arguments by name.")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    found = {}
    for key, value in values.items():
        if key not in fields:
            hint = _nearest(str(key), list(fields))
            raise SpecMismatch(f"{name} has no argument '{key}'; {hint}")
        own = _default(fields[key]) if default is None else getattr(default, key)
        found[key] = _convert(hints[key], value, own, f"{name}.{key}")
    if default is not None:
        changed: T = dataclasses.replace(default, **found)
        return changed
    if missing := [one for one in fields if one not in found and _is_required(fields[one])]:
        raise SpecMismatch(f"{name} needs {', '.join(missing)}, too.")
    return kind(**found)


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, cutoff=0.4)
    return f"did you mean '{close[0]}'?" if close else f"expected one of {', '.join(known)}."


def _convert(hint: Any, value: Any, default: Any, name: str) -> Any:
    options = (
        typing.get_args(hint)
        if typing.get_origin(hint) in (types.UnionType, typing.Union)
        else (hint,)
    )
    for option in options:
        if dataclasses.is_dataclass(option) and isinstance(value, Mapping):
            return _read(typing.cast(type[Any], option), value, default, name)
        if (read := _as_kind(option, value)) is not _WRONG:
            return read
    raise SpecMismatch(f"{name} is {value!r}; expected {' or '.join(map(_words, options))}.")


_WRONG = object()


def _as_kind(kind: Any, value: Any) -> Any:
    """Returns a value as a kind, or `_WRONG` where it is none."""
    if kind is type(None):
        return None if value is None else _WRONG
    if typing.get_origin(kind) is Literal:
        return value if value in typing.get_args(kind) else _WRONG
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if parts[1:] == (...,) and isinstance(value, (list, tuple)):
            parts = parts[:1] * len(value)
        if not isinstance(value, (list, tuple)) or len(value) != len(parts):
            return _WRONG
        read = tuple(_as_kind(part, one) for part, one in zip(parts, value, strict=True))
        return _WRONG if any(one is _WRONG for one in read) else read
    if kind is bool:
        return value if isinstance(value, bool) else _WRONG
    if typing.get_origin(kind) is Mapping:
        return value if isinstance(value, Mapping) else _WRONG
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return int(value) if is_number and value == int(value) else _WRONG
    if kind is float:
        return float(value) if is_number else _WRONG
    return value if isinstance(kind, type) and isinstance(value, kind) else _WRONG


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return f"{len(typing.get_args(kind))} numbers"
    if dataclasses.is_dataclass(kind):
        return "arguments by name"
    if typing.get_origin(kind) is Mapping:
        return "arguments by name"
    return {str: "text", bool: "true or false", int: "a whole number", float: "a number"}.get(
        kind, "null"
    )


def refuse_unless(conditions: Mapping[str, bool], kind: str) -> None:
    """Raises SpecMismatch that names every condition that does not hold."""
    if wrong := [text for text, holds in conditions.items() if not holds]:
        raise SpecMismatch(f"{kind}: expected {'; '.join(wrong)}.")
