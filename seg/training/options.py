"""Options: a field of a configuration is also a flag of train.py and a key of a checkpoint."""

import argparse
import dataclasses
import itertools
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from seg.errors import SpecMismatch


class Check(NamedTuple):
    """What a value should be.

    Attributes:
        expected: In words.
        is_right: Whether a value is that.
    """

    expected: str
    is_right: Callable[[Any], bool]


POSITIVE = Check("a positive number", lambda value: value > 0)
NOT_NEGATIVE = Check("0 or more", lambda value: value >= 0)
UNIT_INTERVAL = Check("a share from 0 to 1", lambda value: 0 <= value <= 1)


def one_of(*names: str) -> Check:
    """Returns the check for one of some words."""
    return Check(" ".join(names), lambda value: value in names)


def option(
    default: Any,
    text: str,
    kind: Callable[[str], Any] = str,
    check: Check | None = None,
    *,
    flag: str = "",
    metavar: str | tuple[str, ...] | None = "N",
    is_main: bool = False,
    is_size: bool = False,
    **argument: Any,
) -> Any:
    """Declares a field that is a flag, too.

    Args:
        default: The value where nothing else is said.
        text: The flag's help.
        kind: Reads the flag's value, or each of its values.
        check: What the value should be; None accepts all.
        flag: The flag's name without dashes, where it is not the field's.
        metavar: What stands for the value in the help; None: the choices.
        is_main: Whether the help lists it first.
        is_size: Whether the flag takes width and height; the field has the height first.
        argument: Further arguments of `add_argument`, such as `nargs`.
    """
    if "action" in argument:
        argument = {"type": None, "metavar": None, **argument}
    metadata = {
        "text": text,
        "check": check,
        "flag": flag,
        "is_main": is_main,
        "is_size": is_size,
        "argument": {"type": kind, "metavar": metavar} | argument,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """A part of a configuration, or one that is composed of parts; checked when it is made.

    Names of fields are different throughout a configuration.

    Attributes:
        title: What the help calls the flags of this part.

    Raises:
        SpecMismatch: A value makes no sense; it lists all of them.
    """

    title: ClassVar[str] = ""

    def __post_init__(self) -> None:
        checks = ((f, f.metadata.get("check")) for f in dataclasses.fields(self))
        wrong = [
            (field.name, check.expected)
            for field, check in checks
            if check and not check.is_right(getattr(self, field.name))
        ]
        wrong += self.conflicts()
        if wrong:
            values, flags = self.to_dict(), flag_names(type(self))
            lines = [f"--{flags[n]} is {values[n]}; expected {expected}" for n, expected in wrong]
            raise SpecMismatch(f"{'; '.join(lines)}.")

    def conflicts(self) -> list[tuple[str, str]]:
        """Returns names of fields that do not fit others, each with what was expected."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """Returns the values of all parts by name, lists for tuples."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self._values()
        }

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """Returns a copy with some values changed, in whichever part they are.

        Raises:
            SpecMismatch: A value makes no sense.
            KeyError: No part has a field of that name.
        """
        own, rest = {}, dict(changes)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Options):
                inner = {k: rest.pop(k) for k in list(rest) if k in value.to_dict()}
                if inner:
                    own[field.name] = value.with_changes(inner)
            elif field.name in rest:
                own[field.name] = rest.pop(field.name)
        if rest:
            raise KeyError(next(iter(rest)))
        return dataclasses.replace(self, **own)

    def _values(self) -> Iterator[tuple[str, Any]]:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Options):
                yield from value._values()
            else:
                yield field.name, value


def parts_of(options: type[Options]) -> dict[str, list[dataclasses.Field[Any]]]:
    """Returns the fields that are flags, of a part or of all parts of a composed one, by title.

    Where a part may be of several types the fields of all of them count, each once.
    """
    found: dict[str, list[dataclasses.Field[Any]]] = {}
    for field in dataclasses.fields(options):
        if "text" in field.metadata:
            found.setdefault(options.title, []).append(field)
        for kind in typing.get_args(field.type) or (field.type,):
            if not (isinstance(kind, type) and issubclass(kind, Options)):
                continue
            for title, fields in parts_of(kind).items():
                known = found.setdefault(title, [])
                names = {other.name for other in known}
                known += [one for one in fields if one.name not in names]
    return found


def flag_names(options: type[Options]) -> dict[str, str]:
    """Returns the flag of each field, without dashes."""
    fields = itertools.chain(*parts_of(options).values())
    return {field.name: flag_name(field) for field in fields}


def flag_name(field: dataclasses.Field[Any]) -> str:
    """Returns a field's flag, without dashes."""
    return field.metadata["flag"] or field.name.replace("_", "-")


def add_flag(
    group: argparse._ActionsContainer,
    field: dataclasses.Field[Any],
    defaults: Mapping[str, Any],
    is_shown: bool = True,
) -> None:
    """Adds a field's flag; where it is not given its value is None.

    Args:
        group: The parser, or a group of its flags.
        field: One of `declared`.
        defaults: The field's default by the architecture, as of `to_dict`; the first one's is
            shown, and those of others where they differ.
        is_shown: Whether the help lists it.
    """
    about = field.metadata
    values = list(defaults.items())
    shown = [_shown(values[0][1], about["is_size"])] if values else []
    shown += [
        f"{arch}: {_shown(value, about['is_size'])}"
        for arch, value in values[1:]
        if value != values[0][1]
    ]
    suffix = f" (default: {'; '.join(shown)})" if shown and shown[0] else ""
    argument = {key: value for key, value in about["argument"].items() if value is not None}
    text = about["text"] + suffix if is_shown else argparse.SUPPRESS
    group.add_argument(f"--{flag_name(field)}", dest=field.name, help=text, **argument)


def given_values(args: argparse.Namespace, options: type[Options]) -> dict[str, Any]:
    """Returns the values of those flags that were given, as the fields hold them."""
    found = {}
    for field in itertools.chain(*parts_of(options).values()):
        value = getattr(args, field.name, None)
        if value is None:
            continue
        if isinstance(value, list):
            value = tuple(value)
        found[field.name] = value[::-1] if field.metadata["is_size"] else value
    return found


def _shown(value: Any, is_size: bool) -> str:
    """Returns a default for the help; empty where the help says it in words."""
    if value is None or value is False or value in ([], ""):
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value[::-1] if is_size else value))
    return str(value)
