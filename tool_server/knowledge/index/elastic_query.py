"""A search as Elasticsearch is asked it: terms inside a scope, conditions on metadata; for `elastic`.

Built of term queries, so that no character of a question is syntax. Conditions mean what `filters.matches` says; of a
text that is longer than `PATTERN` only so much is compared here, and `search` compares the rest.
"""

from collections.abc import Sequence
from typing import Any

from tool_server.knowledge.document import Value
from tool_server.knowledge.filters import ORDERS, Condition, Filter
from tool_server.knowledge.index import Fields, Scope
from tool_server.knowledge.rights import EVERYTHING, INHERITED
from tool_server.knowledge.terms import Term
from tool_server.knowledge.values import fold, moment, number, text_of

type Query = dict[str, Any]

# Elasticsearch takes at least 1,024 clauses, and 8,192 with a heap of 512 MB.
CLAUSES = 4096
# Elasticsearch makes an automaton of each pattern: one of 2,000 characters is refused, 50 of them took ten seconds.
PATTERN = 100
RANGES = {">": "gt", "<": "lt", "≥": "gte", "≤": "lte", "before": "lt", "after": "gt"}


def query(terms: Sequence[Term], scope: Scope) -> Query:
    """Any of the terms, and inside the scope, which counts nothing."""
    alike: dict[Fields, list[str]] = {}
    for base, fields in scope.bases.items():
        alike.setdefault(fields, []).append(base)
    most = max(1, CLAUSES // (2 * len(alike)))
    groups = [
        {
            "bool": {
                "filter": [{"terms": {"base": bases}}],
                # One level down: beside the filter the same clauses take twice the time.
                "must": [_any(_anywhere(terms[:most], fields))],
            }
        }
        for fields, bases in alike.items()
    ]
    matching: Query = groups[0] if len(groups) == 1 else _any(groups)
    inside = _inside(scope)
    return {"bool": {"must": [matching], "filter": inside}} if inside else matching


def _anywhere(terms: Sequence[Term], fields: Fields) -> list[Query]:
    weights = (("content_tok", fields.content), ("title_tok", fields.title))
    return [
        {"term": {field: {"value": term.token, "boost": weight * term.weight}}}
        for field, weight in weights
        if weight
        for term in terms
        if field == "content_tok" or term.names
    ]


def _inside(scope: Scope) -> list[Query]:
    inside: list[Query] = []
    if EVERYTHING not in scope.rights:
        inside.append({"terms": {"access": sorted({*scope.rights, INHERITED})}})
    if scope.languages:
        inside.append({"terms": {"language": sorted(scope.languages)}})
    if scope.filter is not None:
        inside.append(filter_query(scope.filter))
    return inside


def filter_query(conditions: Filter) -> Query:
    """The documents that the filter means."""
    parts = [_condition(one) for one in conditions.conditions]
    return {"bool": {"filter": parts}} if conditions.logical == "and" else _any(parts)


def _condition(condition: Condition) -> Query:
    """One of the document's values holds, or with an opposite operator none does."""
    if condition.operator == "not contains" and _is_long(condition.value):
        return {"match_all": {}}
    inner = {"bool": {"filter": [{"terms": {"meta.k": list(condition.names)}}]}}
    inner["bool"] |= _holds(condition.positive)
    nested = {"nested": {"path": "meta", "query": inner}}
    return {"bool": {"must_not": [nested]}} if condition.opposite else nested


def _holds(condition: Condition) -> dict[str, list[Query]]:
    """What one value has to be, beside its key: clauses of a bool query."""
    given, operator = condition.value, condition.operator
    if operator == "not empty":
        return {"must_not": [{"term": {"meta.f": ""}}]}
    if operator in ("is", "=", "in"):
        return {"must": [_any([_equal(one) for one in condition.listed])]}
    if given is None or isinstance(given, tuple):
        return {"must": [{"match_none": {}}]}
    if operator == "start with":
        return {"must": [{"prefix": {"meta.f": fold(given)[:PATTERN]}}]}
    if operator == "contains":
        return {"must": [{"wildcard": {"meta.f": f"*{_literal(fold(given)[:PATTERN])}*"}}]}
    if operator == "end with":
        return {"must": [{"wildcard": {"meta.f": f"*{_literal(fold(given)[-PATTERN:])}"}}]}
    if operator not in ORDERS:
        return {"must": [{"match_none": {}}]}
    bound = RANGES[operator]
    if operator in ("before", "after"):
        return {"must": [{"range": {"meta.d": {bound: float(given)}}}]}
    return {"must": [_ordered(bound, given)]}


def _equal(given: Value) -> Query:
    """As numbers where both are numbers, else letter by letter; the text of a number is one."""
    wanted = number(given)
    if wanted is not None:
        return {"term": {"meta.n": wanted}}
    return {"term": {"meta.s": text_of(given)}}


def _ordered(bound: str, given: Value) -> Query:
    """As numbers where both are, else as times where both are."""
    wanted, at = number(given), moment(given)
    ways: list[Query] = []
    if wanted is not None:
        ways.append({"range": {"meta.n": {bound: wanted}}})
    if at is not None:
        time: Query = {"range": {"meta.d": {bound: at}}}
        if wanted is not None:
            numeric = {"exists": {"field": "meta.n"}}
            time = {"bool": {"filter": [time], "must_not": [numeric]}}
        ways.append(time)
    return _any(ways)


def _is_long(given: object) -> bool:
    return isinstance(given, str) and len(fold(given)) > PATTERN


def _literal(text: str) -> str:
    """Without a wildcard's syntax."""
    return "".join(f"\\{letter}" if letter in "\\*?" else letter for letter in text)


def _any(queries: Sequence[Query]) -> Query:
    if not queries:
        return {"match_none": {}}
    return {"bool": {"should": list(queries), "minimum_should_match": 1}}
