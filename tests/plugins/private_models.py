"""Package B's models as the SDK makes them, and the tool server's words for them; used by the tests of each type."""

import json
from typing import Any

import yaml
from dify_plugin.entities.model import AIModelEntity
from models.llm.llm import PrivateDeepseekLargeLanguageModel
from models.moderation.moderation import PrivateModerationModel
from models.rerank.rerank import PrivateRerankModel
from models.speech2text.speech2text import PrivateSpeechModel
from models.text_embedding.text_embedding import PrivateEmbeddingModel

from tests.plugins.conftest import ROOT
from tests.plugins.raw_server import RawServer

FOLDER = ROOT / "dify_plugin/model_provider/models"
CLASSES = {
    "llm": PrivateDeepseekLargeLanguageModel,
    "text_embedding": PrivateEmbeddingModel,
    "rerank": PrivateRerankModel,
    "speech2text": PrivateSpeechModel,
    "moderation": PrivateModerationModel,
}
NAMES = {
    "llm": "private-deepseek",
    "text_embedding": "private-embedding",
    "rerank": "private-rerank",
    "speech2text": "private-speech",
    "moderation": "private-moderation",
}
MODELS = "/v1/models"


def make(kind: str) -> Any:
    """A model of this type with the description of its file, as for one call of Dify."""
    described = yaml.safe_load((FOLDER / kind / f"{NAMES[kind]}.yaml").read_text())
    return CLASSES[kind]([AIModelEntity.model_validate(described)])


def credentials(server: RawServer) -> dict[str, str]:
    return {"server_url": server.url, "api_key": "sq-key"}


def serve(server: RawServer, *models: dict[str, Any]) -> None:
    """Let the server list these models from now on."""
    server.forget(MODELS)
    server.answers_json(MODELS, {"object": "list", "data": list(models)})


def data(**event: Any) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"


def delta(finish: str | None = None, **fields: Any) -> str:
    return data(choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


STOP = delta("stop")
USAGE = data(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7})
DONE = "data: [DONE]\n\n"
