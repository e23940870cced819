"""Two node types that graphon leaves to its host, or offers only with heavy libraries; used by `graph`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphon.entities.base_node_data import BaseNodeData
from graphon.enums import BuiltinNodeTypes, NodeType, WorkflowNodeExecutionStatus
from graphon.file import file_manager
from graphon.file.models import File
from graphon.node_events.base import NodeRunResult
from graphon.nodes.base.node import Node

from playground.dify.documents import UnreadableDocument, text_of

# Which bases, what for, how many passages at most → passages, the best first.
type Retrieve = Callable[[Sequence[str], str, int], list[dict[str, Any]]]


class RetrievalData(BaseNodeData):  # type: ignore[misc]  # graphon's types are not followed
    """What the node's form holds; only the mode "multiple" is offered in our files."""

    type: NodeType = BuiltinNodeTypes.KNOWLEDGE_RETRIEVAL
    query_variable_selector: Sequence[str]
    dataset_ids: Sequence[str]
    multiple_retrieval_config: Mapping[str, Any]


class ExtractorData(BaseNodeData):  # type: ignore[misc]  # graphon's types are not followed
    """What the node's form holds; graphon's own cannot be imported without its libraries."""

    type: NodeType = BuiltinNodeTypes.DOCUMENT_EXTRACTOR
    variable_selector: Sequence[str]


class KnowledgeRetrievalNode(Node[RetrievalData]):  # type: ignore[misc]  # graphon's types are not followed
    """Passages of Dify's own knowledge."""

    node_type = BuiltinNodeTypes.KNOWLEDGE_RETRIEVAL

    def __init__(self, *, retrieve: Retrieve, **common: Any) -> None:
        super().__init__(**common)
        self._retrieve = retrieve

    @classmethod
    def version(cls) -> str:
        return "1"

    def _run(self) -> NodeRunResult:
        data = self.node_data
        query = self.runtime_state.variable_pool.get(data.query_variable_selector)
        inputs = {"query": query.text if query else ""}
        try:
            top_k = int(data.multiple_retrieval_config["top_k"])
            found = self._retrieve(data.dataset_ids, inputs["query"], top_k)
        except Exception as error:  # a node's failure is an outcome of the run
            return _failed(inputs, error)
        return _succeeded(inputs, {"result": found})


class DocumentExtractorNode(Node[ExtractorData]):  # type: ignore[misc]  # graphon's types are not followed
    """The texts of files; of those that `documents` can read."""

    node_type = BuiltinNodeTypes.DOCUMENT_EXTRACTOR

    @classmethod
    def version(cls) -> str:
        return "1"

    def _run(self) -> NodeRunResult:
        selector = self.node_data.variable_selector
        variable = self.runtime_state.variable_pool.get(selector)
        value = variable.value if variable is not None else None
        inputs = {"variable_selector": list(selector)}
        try:
            if isinstance(value, File):
                return _succeeded(inputs, {"text": _read(value)})
            return _succeeded(inputs, {"text": [_read(file) for file in value or ()]})
        except UnreadableDocument as error:
            return _failed(inputs, error)


def _read(file: File) -> str:
    return text_of(file.extension or "", file_manager.download(file))


def _succeeded(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> NodeRunResult:
    status = WorkflowNodeExecutionStatus.SUCCEEDED
    return NodeRunResult(status=status, inputs=inputs, outputs=outputs)


def _failed(inputs: Mapping[str, Any], error: Exception) -> NodeRunResult:
    status = WorkflowNodeExecutionStatus.FAILED
    return NodeRunResult(
        status=status, inputs=inputs, error=str(error), error_type=type(error).__name__
    )
