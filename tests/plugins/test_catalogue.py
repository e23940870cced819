"""Figures and features of package B's models come from the tool server; forms are checked against its list."""

from typing import Any

import pytest
from dify_plugin.entities.model import AIModelEntity, FetchFrom, ModelFeature, ModelPropertyKey
from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
)
from models import catalogue
from models.catalogue import Catalogue
from models.openai_wire import ModelServer

from tests.plugins.private_models import MODELS, credentials, make, serve
from tests.plugins.raw_server import RawServer

CHAT = {
    "id": "private-deepseek",
    "type": "llm",
    "context_length": 16352,
    "max_output_tokens": 4000,
    "features": ["agent-thought", "tool-call", "structured-output", "thinking", "telepathy"],
}
EMBEDDING = {"id": "e", "type": "text-embedding", "context_length": 8192, "max_batch": 64}


def schema(server: RawServer, model: str, kind: str = "llm") -> AIModelEntity:
    found = make(kind).get_model_schema(model, credentials(server))
    assert isinstance(found, AIModelEntity)
    return found


def rules(entity: AIModelEntity) -> dict[str, Any]:
    return {rule.name: rule for rule in entity.parameter_rules}


def test_a_predefined_models_figures_are_the_servers(server: RawServer) -> None:
    serve(server, CHAT)
    entity = schema(server, "private-deepseek")
    assert entity.model_properties[ModelPropertyKey.CONTEXT_SIZE] == 16352
    assert entity.features == [
        ModelFeature.AGENT_THOUGHT,
        ModelFeature.TOOL_CALL,
        ModelFeature.STRUCTURED_OUTPUT,
    ]
    assert rules(entity)["max_tokens"].max == 4000
    assert {"enable_thinking", "response_format", "json_schema"} <= set(rules(entity))
    assert entity.fetch_from is FetchFrom.PREDEFINED_MODEL


def test_a_model_without_a_feature_has_not_its_parameters(server: RawServer) -> None:
    serve(server, {**CHAT, "features": [], "max_output_tokens": 512})
    entity = schema(server, "private-deepseek")
    assert set(rules(entity)) == {"temperature", "top_p", "max_tokens"}
    assert (rules(entity)["max_tokens"].default, entity.features) == (512, [])


@pytest.mark.parametrize("models", [[], [{**CHAT, "id": "other"}], [{**CHAT, "type": "rerank"}]])
def test_a_predefined_model_is_there_before_the_server_serves_it(
    server: RawServer, models: list[dict[str, Any]]
) -> None:
    serve(server, *models)
    entity = schema(server, "private-deepseek")
    assert entity.model_properties[ModelPropertyKey.CONTEXT_SIZE] == 8192


def test_a_predefined_model_is_there_while_the_server_is_away() -> None:
    away = {"server_url": "http://127.0.0.1:9", "api_key": "k"}
    model = make("llm")
    assert model.get_model_schema("private-deepseek", away).model == "private-deepseek"
    assert model.get_model_schema("private-deepseek").model == "private-deepseek"
    assert model.get_model_schema("other") is None


def test_one_calls_figures_are_not_anothers(server: RawServer) -> None:
    serve(server, {**CHAT, "features": []})
    model = make("llm")
    before = model.get_model_schema("private-deepseek").model_dump()
    model.get_model_schema("private-deepseek", credentials(server))
    assert model.get_model_schema("private-deepseek").model_dump() == before


def test_a_customized_model_is_described_by_the_server(server: RawServer) -> None:
    serve(server, CHAT, {**CHAT, "id": "qwen3-32b", "context_length": 40960})
    entity = schema(server, "qwen3-32b")
    assert (entity.model, entity.label.en_us) == ("qwen3-32b", "qwen3-32b")
    assert entity.fetch_from is FetchFrom.CUSTOMIZABLE_MODEL
    assert entity.model_properties[ModelPropertyKey.CONTEXT_SIZE] == 40960
    assert entity.model_properties[ModelPropertyKey.MODE] == "chat"
    assert rules(entity)["temperature"].default == 0.6


def test_a_customized_model_has_no_feature_that_the_server_does_not_name(
    server: RawServer,
) -> None:
    serve(server, {"id": "bare"})
    assert schema(server, "bare").features == []


@pytest.mark.parametrize(
    ("served", "chunks"), [({}, 64), ({"dimensions": 1024}, 64), ({"dimensions": 4096}, 43)]
)
def test_a_batch_of_vectors_fits_into_one_line_to_the_daemon(
    server: RawServer, served: dict[str, int], chunks: int
) -> None:
    serve(server, {**EMBEDDING, **served})
    properties = schema(server, "e", "text_embedding").model_properties
    assert properties[ModelPropertyKey.MAX_CHUNKS] == chunks
    assert properties[ModelPropertyKey.CONTEXT_SIZE] == 8192


def test_a_customized_model_is_an_error_while_nothing_is_known_of_it(server: RawServer) -> None:
    """An answer would be kept by Dify for an hour."""
    away = {"server_url": "http://127.0.0.1:9", "api_key": "k"}
    with pytest.raises(InvokeConnectionError, match="URL"):
        make("llm").get_model_schema("other", away)
    serve(server, CHAT)
    with pytest.raises(InvokeBadRequestError, match="does not serve"):
        make("llm").get_model_schema("other", credentials(server))


def test_the_server_is_asked_once_a_minute_and_its_last_word_holds(server: RawServer) -> None:
    now = [0.0]
    shelf = Catalogue(clock=lambda: now[0])
    there = ModelServer(server.url, "k")
    serve(server, CHAT)
    for now[0] in (0.0, 59.0):
        assert shelf.find(there, "private-deepseek", "llm").context_length == 16352
    assert len(server.heads) == 1
    server.forget(MODELS)
    server.answers("<html>", status=502, path=MODELS)
    for now[0] in (61.0, 65.0, 66.5):
        assert shelf.find(there, "private-deepseek", "llm").context_length == 16352
    assert len(server.heads) == 3
    serve(server, {**CHAT, "context_length": 99})
    now[0] = 72.0
    assert shelf.find(there, "private-deepseek", "llm").context_length == 99


def test_another_key_is_asked_for_itself(server: RawServer) -> None:
    shelf = Catalogue(clock=lambda: 0.0)
    serve(server, CHAT)
    shelf.find(ModelServer(server.url, "right"), "private-deepseek", "llm")
    server.forget(MODELS)
    server.answers("", status=401, path=MODELS)
    for _ in range(2):
        with pytest.raises(InvokeAuthorizationError, match="key"):
            shelf.find(ModelServer(server.url, "wrong"), "private-deepseek", "llm")
    assert len(server.heads) == 2


def test_no_more_servers_are_kept_than_a_bound(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "SERVERS", 2)
    shelf = Catalogue(clock=lambda: 0.0)
    serve(server, CHAT)
    for key in ("a", "b", "c", "a"):
        shelf.find(ModelServer(server.url, key), "private-deepseek", "llm")
    assert len(server.heads) == 4


@pytest.mark.parametrize("kind", ["llm", "text_embedding", "rerank", "speech2text", "moderation"])
def test_a_model_is_checked_by_name_and_type(server: RawServer, kind: str) -> None:
    model = make(kind)
    type_ = model.model_type.value
    serve(server, {"id": "m", "type": type_}, {"id": "n", "type": "tts"})
    model.validate_credentials("m", credentials(server))
    with pytest.raises(CredentialsValidateFailedError, match=f"is of the type tts, not {type_}"):
        model.validate_credentials("n", credentials(server))
    with pytest.raises(CredentialsValidateFailedError, match="of this type it serves: m"):
        model.validate_credentials("x", credentials(server))


def test_a_saved_limit_above_the_servers_does_not_break_an_app(server: RawServer) -> None:
    serve(server, CHAT)
    model = make("llm")
    assert model._validate_and_filter_model_parameters(
        "private-deepseek", {"max_tokens": 30000, "frequency_penalty": 1}, credentials(server)
    ) == {"max_tokens": 30000}
