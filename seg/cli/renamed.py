"""Flags that have another name now: the old one is refused and names the new one."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any


class _Renamed(argparse.Action):
    """Ends with a usage error where a flag's old name is given."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        self.new_name = kwargs.pop("new_name")
        super().__init__(
            option_strings, dest, nargs="*", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Refuses the flag."""
        parser.error(f"{option_string} is now called {self.new_name}")


def refuse_renamed(flags: argparse.ArgumentParser, names: Mapping[str, str]) -> None:
    """Has the parser refuse flags' old names, the keys, and name the new ones."""
    for old, new in names.items():
        flags.add_argument(old, action=_Renamed, new_name=new)
