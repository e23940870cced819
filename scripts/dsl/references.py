"""Which variables a node reads: by selector, with the type it must have, and in its texts; used by `check`."""

from collections.abc import Iterable, Iterator
from functools import singledispatch

from scripts.dsl.nodes import (
    Aggregator,
    Answer,
    Data,
    DocumentExtractor,
    End,
    IfElse,
    ListOperator,
    Llm,
    Retrieval,
    Tool,
)

# A selector with the type of its variable; empty where any will do.
type Read = tuple[list[str], str]


@singledispatch
def selectors(_data: Data) -> Iterable[Read]:
    return ()


@selectors.register
def _(data: End) -> Iterable[Read]:
    return [(one.value_selector, one.value_type) for one in data.outputs]


@selectors.register
def _(data: IfElse) -> Iterable[Read]:
    conditions = [one for case in data.cases for one in case.conditions]
    return [(one.variable_selector, one.var_type) for one in conditions]


@selectors.register
def _(data: Aggregator) -> Iterable[Read]:
    return [(selector, data.output_type) for selector in data.variables]


@selectors.register
def _(data: ListOperator) -> Iterable[Read]:
    return [(data.variable, data.var_type)]


@selectors.register
def _(data: DocumentExtractor) -> Iterable[Read]:
    return [(data.variable_selector, "array[file]" if data.is_array_file else "file")]


@selectors.register
def _(data: Retrieval) -> Iterable[Read]:
    return [(data.query_variable_selector, "string")]


@selectors.register
def _(data: Tool) -> Iterable[Read]:
    return [(one.value, "") for one in data.tool_parameters.values() if one.type == "variable"]


@selectors.register
def _(data: Llm) -> Iterator[Read]:
    if data.context.enabled:
        yield data.context.variable_selector, ""
    if data.vision.enabled and data.vision.configs is not None:
        yield data.vision.configs.variable_selector, "array[file]"


@singledispatch
def templates(_data: Data) -> Iterable[str]:
    return ()


@templates.register
def _(data: Answer) -> Iterable[str]:
    return [data.answer]


@templates.register
def _(data: Tool) -> Iterable[str]:
    return [str(one.value) for one in data.tool_parameters.values() if one.type == "mixed"]


@templates.register
def _(data: Llm) -> Iterator[str]:
    yield from (prompt.text for prompt in data.prompt_template)
    if data.memory is not None:
        yield data.memory.query_prompt_template
