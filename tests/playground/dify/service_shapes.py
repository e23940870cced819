"""Bodies and events of Dify's Service API, strictly: a field more or less is a fault; for `test_service_api`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Shape):
    usage: dict[str, Any]
    retriever_resources: list[dict[str, Any]]
    annotation_reply: None


class BlockingChat(Shape):
    event: Literal["message"]
    task_id: str
    id: str
    message_id: str
    conversation_id: str
    mode: Literal["advanced-chat"]
    answer: str
    metadata: Metadata
    created_at: int


class Outcome(Shape):
    id: str
    workflow_id: str
    status: Literal["succeeded", "partial-succeeded", "failed", "stopped"]
    outputs: dict[str, Any]
    error: str | None
    elapsed_time: float
    total_tokens: int
    total_steps: int
    created_at: int
    finished_at: int


class BlockingWorkflow(Shape):
    task_id: str
    workflow_run_id: str
    data: Outcome


class Detail(Outcome):
    inputs: dict[str, Any]


class Finished(Outcome):
    inputs: dict[str, Any]
    exceptions_count: int
    created_by: dict[str, str]
    files: list[Any]


class Node(Shape):
    id: str
    node_id: str
    node_type: str
    title: str
    index: int
    predecessor_node_id: str | None
    inputs: dict[str, Any] | None
    created_at: int
    extras: dict[str, Any]


class NodeDone(Node):
    process_data: dict[str, Any] | None
    outputs: dict[str, Any] | None
    status: Literal["succeeded", "failed", "exception", "retry"]
    error: str | None
    elapsed_time: float
    execution_metadata: dict[str, Any] | None
    finished_at: int
    files: list[Any]


class Retried(NodeDone):
    retry_index: int


class Started(Shape):
    id: str
    workflow_id: str
    inputs: dict[str, Any]
    created_at: int


class Chunk(Shape):
    text: str
    from_variable_selector: list[str]


class Failure(Shape):
    code: str
    message: str
    status: int


class Upload(Shape):
    id: str
    name: str
    size: int
    extension: str
    mime_type: str
    created_by: str
    created_at: int


class Conversation(Shape):
    id: str
    name: str
    inputs: dict[str, Any]
    status: str
    introduction: str
    created_at: int
    updated_at: int


class Row(Shape):
    id: str
    conversation_id: str
    parent_message_id: str | None
    inputs: dict[str, Any]
    query: str
    answer: str
    status: str
    error: str | None
    message_files: list[dict[str, Any]]
    feedback: dict[str, Any] | None
    retriever_resources: list[dict[str, Any]]
    agent_thoughts: list[Any]
    created_at: int


class Page[Item](Shape):
    limit: int
    has_more: bool
    data: list[Item]


DATA: dict[str, type[Shape]] = {
    "workflow_started": Started,
    "node_started": Node,
    "node_finished": NodeDone,
    "node_retry": Retried,
    "text_chunk": Chunk,
    "workflow_finished": Finished,
}
