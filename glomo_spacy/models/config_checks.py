"""Checks that the config classes of all models share."""

from dataclasses import fields
from typing import Any, Mapping

from ..errors import Errors


def check(name: str, value: Any, expected: str, is_fine: bool) -> None:
    """Refuse a value of a config.

    name (str): The field.
    value (Any): What it holds.
    expected (str): What it may hold, in words.
    is_fine (bool): Whether it does.
    RAISES: ValueError G101.
    """
    if not is_fine:
        raise ValueError(Errors.G101.format(name=name, expected=expected, value=value))


def check_names(config_class: Any, values: Mapping[str, Any]) -> None:
    """Refuse a `[model]` section with a field that the config class does not have.

    config_class (Type): A dataclass.
    values (Mapping[str, Any]): The section.
    RAISES: ValueError G100, which lists the known fields.
    """
    known = [field.name for field in fields(config_class)]
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(Errors.G100.format(name="[model]", value=", ".join(unknown), options=", ".join(known)))


def is_whole(value: Any, least: int) -> bool:
    """Whether this is a whole number, not below `least`; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any) -> bool:
    """Whether this is a number: true, false and not-a-number are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
