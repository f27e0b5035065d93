"""Checks of the tables in a user's TOML file: which keys there are, and what each must be."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# Whether a value will do, and what it is: the end of "KEY is VALUE; it is ...".
Rule = tuple[Callable[[Any], bool], str]


def text(what: str) -> Rule:
    return lambda value: isinstance(value, str) and bool(value.strip()), what


def choice(*choices: str) -> Rule:
    return lambda value: value in choices, f"one of {', '.join(choices)}"


def whole(low: int, high: int) -> Rule:
    return lambda value: type(value) is int and low <= value <= high, f"{low} to {high}"


def errors(
    name: str, table: Any, rules: Mapping[str, Rule], needed: Sequence[str] = ()
) -> Iterator[str]:
    """What is wrong with the table `name`, a line each, the key named; `needed` must be there.
    Later lines may rest on the earlier: where there is one, only the first counts."""
    if not isinstance(table, dict):
        yield f"{name} is not a table; write [{name}]"
        return
    for key in table:
        if key not in rules:
            near = difflib.get_close_matches(key, rules, n=1)
            hint = f"did you mean {near[0]}?" if near else f"use {', '.join(rules)}"
            yield f"{name}.{key} is unknown; {hint}"
    for key in needed:
        if key not in table:
            yield f"{name}.{key} is missing; it is {rules[key][1]}"
    for key, value in table.items():
        check, what = rules[key]
        if not check(value):
            yield f"{name}.{key} is {json.dumps(value, default=str)}; it is {what}"
