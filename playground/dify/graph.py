"""The nodes that our workflow files use, each with what it needs of its host; made per run by `workflow`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphon.enums import BuiltinNodeTypes, NodeExecutionType
from graphon.nodes.answer.answer_node import AnswerNode
from graphon.nodes.base.node import Node
from graphon.nodes.end.end_node import EndNode
from graphon.nodes.if_else.if_else_node import IfElseNode
from graphon.nodes.list_operator.node import ListOperatorNode
from graphon.nodes.llm import LLMNode, LLMNodeData
from graphon.nodes.start import StartNode
from graphon.nodes.tool.entities import ToolNodeData
from graphon.nodes.tool.tool_node import ToolNode
from graphon.nodes.variable_aggregator.variable_aggregator_node import VariableAggregatorNode
from graphon.runtime.init_params import InitParams
from graphon.runtime.runtime_state import RuntimeState

from playground.dify.host import Calls, History, LanguageModel, NoFiles, PlainPrompt, ToolRuntime
from playground.dify.nodes import DocumentExtractorNode, KnowledgeRetrievalNode

NODES: Mapping[str, type[Node]] = {
    BuiltinNodeTypes.START: StartNode,
    BuiltinNodeTypes.END: EndNode,
    BuiltinNodeTypes.ANSWER: AnswerNode,
    BuiltinNodeTypes.IF_ELSE: IfElseNode,
    BuiltinNodeTypes.TOOL: ToolNode,
    BuiltinNodeTypes.LLM: LLMNode,
    BuiltinNodeTypes.LIST_OPERATOR: ListOperatorNode,
    BuiltinNodeTypes.VARIABLE_AGGREGATOR: VariableAggregatorNode,
    BuiltinNodeTypes.DOCUMENT_EXTRACTOR: DocumentExtractorNode,
    KnowledgeRetrievalNode.node_type: KnowledgeRetrievalNode,
}


@dataclass
class Factory:
    """Makes the nodes of one run (graphon's `NodeFactory`)."""

    init_params: InitParams
    runtime_state: RuntimeState
    calls: Calls
    history: History
    # graphon cuts a model's provider to its last part; the full id is needed to find the package.
    providers: Mapping[str, str]

    def with_runtime_state(self, runtime_state: RuntimeState) -> "Factory":
        return replace(self, runtime_state=runtime_state)

    def with_graph_config(self, graph_config: Mapping[str, Any]) -> "Factory":
        params = self.init_params.model_copy(update={"graph_config": graph_config})
        return replace(self, init_params=params)

    def validate_node(self, node_config: Mapping[str, Any]) -> NodeExecutionType:
        kind = _kind(node_config)
        kind.validate_node_data(node_config["data"])
        return kind.execution_type

    def create_node(self, node_config: Mapping[str, Any]) -> Node:
        kind, data, name = _kind(node_config), node_config["data"], str(node_config["id"])
        common: dict[str, Any] = {
            "node_id": name,
            "init_params": self.init_params,
            "runtime_state": self.runtime_state,
        }
        if kind is ToolNode:
            tool = ToolNodeData.model_validate(data.model_dump())
            runtime = ToolRuntime(self.calls.tool)
            return ToolNode(data=tool, tool_file_manager=NoFiles(), runtime=runtime, **common)
        if kind is LLMNode:
            return self._model_node(LLMNodeData.model_validate(data.model_dump()), name, common)
        if kind is KnowledgeRetrievalNode:
            common["retrieve"] = self.calls.retrieve
        return kind(data=kind.validate_node_data(data), **common)

    def _model_node(self, data: LLMNodeData, name: str, common: dict[str, Any]) -> Node:
        parameters = data.model.completion_params
        model = LanguageModel(self.calls, self.providers[name], data.model.name, parameters)
        return LLMNode(
            data=data,
            model_instance=model,
            memory=self.history,
            llm_file_saver=NoFiles(),
            prompt_message_serializer=PlainPrompt(),
            default_query_selector=("sys", "query"),
            **common,
        )


def _kind(node_config: Mapping[str, Any]) -> type[Node]:
    return NODES[node_config["data"].type]
