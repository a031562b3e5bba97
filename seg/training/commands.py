"""Sub-commands of train.py: their flags, and the configuration that these ask for."""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg.errors import SpecMismatch
from seg.kinds import Device
from seg.training.config import TrainingConfig, positive_int
from seg.training.options import add_flag, flag_names, given_values, parts_of

NO_CHANGES: Mapping[str, Any] = {}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A sub-command: a task and how it is configured.

    Attributes:
        summary: What it trains, and from what.
        config: Its configuration; each field is a flag.
        task: Module and class of the task, `module:Class`.
        variants: Named choices that `--compare` trains beside each other, by field.
        archs: The architectures whose defaults the help shows; the first where none is named.
        arch_flag: The flag that names one, without dashes.
    """

    summary: str
    config: type[TrainingConfig]
    task: str
    archs: tuple[str, ...]
    arch_flag: str = "arch"
    variants: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


def add_flags(command: Command, parser: argparse.ArgumentParser, shows_all: bool) -> None:
    """Adds the flags of a sub-command: those that are often needed first.

    Args:
        command: The sub-command.
        parser: Gets the flags.
        shows_all: Whether its help lists the others, too.
    """
    parser.add_argument("--help-all", action="help", help="list the rarely needed flags, too")
    defaults = {arch: command.config.for_arch(arch).to_dict() for arch in command.archs}
    main = parser.add_argument_group("often needed")
    parts = parts_of(command.config)
    for title, fields in parts.items():
        group = parser.add_argument_group(title)
        for field in fields:
            place = main if field.metadata["is_main"] else group
            if field.name == "arch":
                text = f"{field.metadata['text']} (default: {command.archs[0]})"
                place.add_argument(f"--{command.arch_flag}", dest="arch", metavar="NAME", help=text)
                continue
            known = {a: v[field.name] for a, v in defaults.items() if field.name in v}
            add_flag(place, field, known, shows_all or place is main)
        if title == "network":
            _add_cache_flags(group, shows_all)
    _add_main_flags(main, command)
    _add_run_flags(parser.add_argument_group("runs"), shows_all)


def _add_main_flags(main: argparse._ArgumentGroup, command: Command) -> None:
    if recipes := command.config.recipes():
        text = "a published training's choices in place of the defaults; flags change both"
        main.add_argument("--recipe", choices=recipes, help=text)
    text = "cross-validation: N parts, each of which validates once"
    main.add_argument("--folds", type=positive_int, metavar="N", help=text)
    text = "train with each of these seeds, and compare by their mean"
    main.add_argument("--seeds", nargs="+", type=int, metavar="N", help=text)
    text = f"train {' and '.join(command.variants)} on the same data, and compare"
    text = text if command.variants else argparse.SUPPRESS
    main.add_argument("--compare", action="store_true", help=text)
    text = "train all combinations, such as lr=1e-4,1e-3 seed=0,1"
    main.add_argument("--sweep", nargs="+", default=[], metavar="NAME=VALUES", help=text)
    main.add_argument("--device", choices=Device.values(), default="auto")
    main.add_argument("--output", type=Path, metavar="FOLDER", help="default: runs/ARCH")
    one = main.add_mutually_exclusive_group()
    one.add_argument("--resume", action="store_true", help="resume the run in --output")
    one.add_argument("--overwrite", action="store_true", help="replace the run in --output")


def _add_cache_flags(group: argparse._ArgumentGroup, is_shown: bool) -> None:
    text = "draw new views in each epoch and run the backbone on each, as --views 0 does"
    text = text if is_shown else argparse.SUPPRESS
    group.add_argument("--no-cache", dest="views", action="store_const", const=0, help=text)


def _add_run_flags(group: argparse._ArgumentGroup, is_shown: bool) -> None:
    text = "where features and videos' frames are kept (default: ~/.cache/dinoseg, or "
    text += "$DINOSEG_CACHE); what nobody used for 30 days is deleted"
    text = text if is_shown else argparse.SUPPRESS
    group.add_argument("--cache-dir", type=Path, metavar="DIR", help=text)
    text = "log into --output/tensorboard, too" if is_shown else argparse.SUPPRESS
    group.add_argument("--tensorboard", action="store_true", help=text)


def variants_of(command: Command, args: argparse.Namespace) -> dict[str, TrainingConfig]:
    """Returns the configurations to train by name: one without a name, or those to compare."""
    if not args.compare:
        return {"": config_of(command, args)}
    return {name: config_of(command, args, some) for name, some in command.variants.items()}


def config_of(
    command: Command, args: argparse.Namespace, variant: Mapping[str, Any] = NO_CHANGES
) -> TrainingConfig:
    """Turns flags into a configuration, on top of the architecture's defaults or a recipe.

    Args:
        command: The sub-command.
        args: Its flags.
        variant: Choices by field, which count as given.

    Raises:
        SpecMismatch: A value makes no sense, or is an option that the architecture has not.
    """
    arch, weights = _arch_and_weights(args)
    arch = arch or command.archs[0]
    recipe = getattr(args, "recipe", None)
    given = given_values(args, command.config) | {"arch": arch} | dict(variant)
    if weights is None:
        given.pop("backbone", None)
    if recipe:
        base = command.config.from_recipe(recipe, arch)
    else:
        base = command.config.for_choices(arch, given)
    known = base.to_dict()
    if given.get("views") == 0 and "views" not in known:  # nothing is cached anyway
        del given["views"]
    flags = flag_names(command.config)
    if wrong := [f"--{flags[k]} is {_words(v)}" for k, v in given.items() if k not in known]:
        raise SpecMismatch(f"{'; '.join(wrong)}; this does not apply to {arch}, so omit it.")
    return base.with_changes(given)


def _arch_and_weights(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """Returns the architecture and the backbone's weights; `--backbone` may name either."""
    weights: str | None = getattr(args, "backbone", None)
    if not weights or weights == "random" or args.arch or Path(weights).suffix:
        return args.arch, weights
    return (args.arch, weights) if Path(weights).exists() else (weights, None)


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
