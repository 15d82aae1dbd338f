"""Just enough PromQL to see which series an expression asks for."""

import re
from dataclasses import dataclass

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][\w:]*)\{(?P<matchers>[^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
LABEL_LIST = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
NAME = re.compile(r"(?<![\w.:])[a-zA-Z_:][\w:]*\b(?!\s*\()")
WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


@dataclass(frozen=True, slots=True)
class Selector:
    """`metric{matchers}`; a matcher is (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expr: str) -> list[Selector]:
    """The selectors of `expr` that have braces."""
    return [
        Selector(found["metric"], tuple(MATCHER.findall(found["matchers"])))
        for found in SELECTOR.finditer(expr)
    ]


def metric_names(expr: str) -> set[str]:
    """Every metric that `expr` asks for, with braces or without."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", STRING.sub("", expr))
    return set(NAME.findall(LABEL_LIST.sub(" ", bare))) - WORDS
