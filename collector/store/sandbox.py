"""What SQL of people may say: one SELECT over our tables, built of known parts only.

DuckDB itself parses the text; every part of the tree is looked up in a list of what is allowed.
What is not on a list is refused, so that a part that a later DuckDB adds is refused until somebody
has thought about it. The names of files, settings and the like are functions or tables to DuckDB:
none of them is on a list.
"""

from collections.abc import Mapping
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import duckdb
import msgspec

from collector.errors import RefusedQueryError
from collector.store.sandbox_functions import FUNCTIONS, TABLE_FUNCTIONS, TYPES

MAX_SQL_BYTES = 64 * 1024
MAX_DEPTH = 150
MAX_GROWTH = 1000
REPLACING = frozenset({"regexp_replace", "replace"})
TABLES = frozenset(
    {
        "affiliate_performance",
        "clicks",
        "events",
        "incident_events",
        "incidents",
        "migration",
        "platform_metrics",
        "probe_results",
        "rollup_late",
        "rollup_state",
        "samples",
        "samples_hour",
        "samples_minute",
        "series",
    }
)
SCHEMAS = frozenset({"", "main"})
DISCOVERY = frozenset({"tables", "columns"})
COLLATIONS = frozenset({"binary", "c", "posix", "nocase", "noaccent", "nfc"})

QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
SOURCES = frozenset(
    {
        "BASE_TABLE",
        "EMPTY",
        "EXPRESSION_LIST",
        "JOIN",
        "PIVOT",
        "SHOW_REF",
        "SUBQUERY",
        "TABLE_FUNCTION",
    }
)
MODIFIERS = frozenset(
    {"DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER"}
)
ORDERS = frozenset({"ASCENDING", "DESCENDING", "ORDER_DEFAULT"})
EXPRESSIONS = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "OPERATOR",
        "PARAMETER",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    }
)
# DESCRIBE and SUMMARIZE of a query; SHOW with a name lists databases, settings and the like.
DESCRIPTIONS = frozenset({"DESCRIBE", "SUMMARY"})
ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
NOT_SELECT = "Only SELECT statements can be serialized to json!"
PARSE = "SELECT json_serialize_sql($sql)"
Node = dict[str, Any]
Names = frozenset[str]


def admit(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Return when `sql` is one SELECT that reads our tables and nothing else.

    Raises RefusedQueryError, which says what it does not allow.
    """
    _Walk().value(_parsed(connection, sql), frozenset(), 0)


def _parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> object:
    # A NUL ends the text for some readers and not for others.
    if "\0" in sql:
        raise _refused("a NUL character")
    if len(sql.encode("utf-8", errors="surrogatepass")) > MAX_SQL_BYTES:
        raise _refused(f"more than {MAX_SQL_BYTES // 1024} KiB of text")
    try:
        [[text]] = connection.execute(PARSE, {"sql": sql}).fetchall()
        tree = msgspec.json.decode(text)
    except (duckdb.Error, msgspec.DecodeError, UnicodeError, RecursionError):
        raise _refused("what cannot be parsed") from None
    if tree["error"]:
        if tree["error_message"] == NOT_SELECT:
            raise _refused("anything but SELECT")
        raise RefusedQueryError(
            "the query", why=f"is not SQL: {tree['error_message']}", remedy="correct it"
        )
    if len(tree["statements"]) != 1:
        raise _refused("more or less than one statement")
    return tree["statements"][0]


class _Walk:
    """Visits every part; `names` are the common table expressions that can be seen there."""

    def __init__(self) -> None:
        self._growth = 1

    def value(self, value: object, names: Names, depth: int) -> None:
        if isinstance(value, list):
            for item in value:
                self.value(item, names, depth)
        elif isinstance(value, dict):
            self.part(value, names, depth + 1)

    def part(self, part: Node, names: Names, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _refused("parts nested so deeply")
        kind = part.get("type")
        if "class" in part:
            self.expression(part, names, depth)
        elif not isinstance(kind, str):
            self.children(part, names, depth)
        elif kind in QUERIES:
            self.query(part, names, depth)
        elif kind in SOURCES:
            self.source(kind, part, names, depth)
        elif kind in MODIFIERS or kind in ORDERS:
            self.children(part, names, depth)
        else:
            raise _refused(_spelled(kind))

    def children(self, part: Node, names: Names, depth: int, *but: str) -> None:
        for key, value in part.items():
            if key not in but:
                self.value(value, names, depth)

    def query(self, part: Node, names: Names, depth: int) -> None:
        """The names of WITH are seen by what follows them, and by themselves when recursive."""
        for entry in part["cte_map"]["map"]:
            self.value(entry["value"], names, depth)
            names |= {_folded(entry["key"])}
        follows = {"RECURSIVE_CTE_NODE": "right", "CTE_NODE": "child"}.get(part["type"])
        if follows is not None:
            self.value(part[follows], names | {_folded(part["cte_name"])}, depth)
        self.children(part, names, depth, "cte_map", follows or "")

    def source(self, kind: str, part: Node, names: Names, depth: int) -> None:
        skipped: tuple[str, ...] = ()
        if kind == "BASE_TABLE":
            _check_table(part, names)
        elif kind == "TABLE_FUNCTION":
            _check_function(part["function"], TABLE_FUNCTIONS)
            self.children(part["function"], names, depth)
            skipped = ("function",)
        elif kind == "SHOW_REF" and (
            part["show_type"] not in DESCRIPTIONS or part["query"] is None or part["table_name"]
        ):
            raise _refused("SHOW")
        elif kind == "PIVOT" and any(pivot.get("pivot_enum") for pivot in part["pivots"]):
            raise _refused("PIVOT by a type")
        self.children(part, names, depth, *skipped)

    def expression(self, part: Node, names: Names, depth: int) -> None:
        kind = part["class"]
        if kind not in EXPRESSIONS:
            raise _refused(_spelled(kind))
        if kind in ("FUNCTION", "WINDOW"):
            _check_function(part, FUNCTIONS)
            self.replacement(part)
        elif kind == "TYPE":
            _check_type(part["type_name"], part)
        elif kind == "CAST" and "cast_type" in part:
            _check_old_type(part["cast_type"])
        elif kind == "COLLATE" and not COLLATIONS.issuperset(part["collation"].lower().split(".")):
            raise _refused(f"the collation {part['collation']}")
        if kind != "CONSTANT":
            self.children(part, names, depth, "cast_type")

    def replacement(self, part: Node) -> None:
        """Replacing makes its text outside the memory that DuckDB counts: how much it can grow
        has to be seen here."""
        if _folded(part["function_name"]) not in REPLACING:
            return
        given = part.get("arguments") or part.get("children") or []
        text = _constant(given[2]) if len(given) > 2 else None
        if text is None:
            raise _refused("replacing by what is no plain text")
        self._growth *= max(len(text), 1)
        if self._growth > MAX_GROWTH:
            raise _refused("replacing by so long a text, or so often")


def _constant(argument: Node) -> str | None:
    """The text of a literal, in the spelling of either DuckDB; None for anything else."""
    part = argument.get("expression", argument)
    found = part.get("literal", {}).get("text", part.get("value", {}).get("value"))
    return found if part.get("class") == "CONSTANT" and isinstance(found, str) else None


def _check_table(part: Node, names: Names) -> None:
    table, schema = _folded(part["table_name"]), _folded(part["schema_name"])
    path = part.get("qualified_name", {}).get("path", [])
    ours = schema in SCHEMAS and (table in TABLES or (not schema and table in names))
    discovery = schema == "information_schema" and table in DISCOVERY
    if part["catalog_name"] or len(path) > 2 or not (ours or discovery):
        raise _refused(f"the table {part['table_name']}")
    if part["at_clause"] is not None:
        raise _refused("AT")


def _check_function(part: Node, allowed: frozenset[str]) -> None:
    name = part["function_name"]
    path = part.get("qualified_name", {}).get("path", [])
    qualified = part["catalog"] or _folded(part["schema"]) not in SCHEMAS or len(path) > 2
    if qualified or _folded(name) not in allowed:
        raise _refused(f"the function {name}")
    if part.get("export_state"):
        raise _refused("EXPORT_STATE")


def _check_type(name: str, part: Mapping[str, Any]) -> None:
    if part["catalog"] or _folded(part["schema"]) not in SCHEMAS or _folded(name) not in TYPES:
        raise _refused(f"the type {name}")


def _check_old_type(value: object) -> None:
    """A type as DuckDB before 2.0 spells it: nested objects with an `id` each."""
    if isinstance(value, list):
        for item in value:
            _check_old_type(item)
    elif isinstance(value, dict):
        if value.get("id") == "UNBOUND":
            _check_type(value["type_info"]["name"], value["type_info"])
        for name in (value.get("id"), value.get("alias")):
            if name and name != "UNBOUND" and _folded(name) not in TYPES:
                raise _refused(f"the type {name}")
        for item in value.values():
            _check_old_type(item)


def _folded(name: str) -> str:
    """As DuckDB compares names: only A to Z fold, not the Kelvin sign that Python folds to k."""
    return name.translate(ASCII_LOWER)


def _spelled(kind: str) -> str:
    """DELETE_QUERY_NODE as a person says it: DELETE."""
    return kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")


def _refused(what: str) -> RefusedQueryError:
    return RefusedQueryError(
        "the query",
        why=f"contains {what}, which is not allowed here",
        remedy="ask with one SELECT over the tables and functions in docs/sql.md",
    )
