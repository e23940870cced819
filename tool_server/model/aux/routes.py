"""`/v1/embeddings`, `/v1/rerank` and `/v1/audio/transcriptions`: from a request to the aux process and back."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from flask import Blueprint, Response, jsonify, request
from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from tool_server.auth import Keys
from tool_server.caller import Caller
from tool_server.errors import ApiError, NotFound
from tool_server.limits import Limits, Place, estimate
from tool_server.model.aux.client import AuxClient
from tool_server.model.aux.embed import Embeddings
from tool_server.model.aux.kinds import Kind, check, variable
from tool_server.model.aux.rank import Ranking
from tool_server.model.aux.request import EmbeddingRequest, RerankRequest
from tool_server.model.aux.transcribe import Transcriptions
from tool_server.model.aux.wire import SOCKET
from tool_server.settings import Settings


def blueprint(
    settings: Settings, keys: Keys, limits: Limits, registry: CollectorRegistry
) -> Blueprint:
    """Routes with a key of the scope `model`. Raises `SettingsError` where a folder holds no model."""
    routes = Blueprint("aux", __name__, url_prefix="/v1")
    served = check(settings)
    client = AuxClient(settings.run_dir / SOCKET, settings.model_aux_timeout_s)
    counted = _counter(registry)

    def serve(kind: Kind) -> None:
        if kind not in served:
            raise NotFound(
                f"No {kind} model is served here; {variable(kind)} names one.",
                code="model_not_found",
                param="model",
            )

    @contextmanager
    def opened(kind: Kind, name: str) -> Iterator[Place]:
        """One counted request within the key's limits."""
        key = keys.require("model")
        with counted(kind):
            serve(kind)
            key.require_model(name)
            with limits.enter(key, estimate(request.get_data())) as place:
                yield place

    @routes.post("/embeddings")
    def embeddings() -> Response:
        with opened("embedding", settings.model_embedding_name) as place:
            asked = EmbeddingRequest.model_validate(request.get_json(force=True))
            known(asked.model, settings.model_embedding_name)
            answer = embed.answer(client, asked, Caller().gone)
            place.charge(answer["usage"]["total_tokens"])
            return jsonify(answer)

    @routes.post("/rerank")
    def rerank() -> Response:
        with opened("rerank", settings.model_rerank_name) as place:
            asked = RerankRequest.model_validate(request.get_json(force=True))
            known(asked.model, settings.model_rerank_name)
            answer = rank.answer(client, asked, Caller().gone)
            place.charge(answer["usage"]["total_tokens"])
            return jsonify(answer)

    @routes.post("/audio/transcriptions")
    def transcriptions() -> Response:
        key = keys.require("model")
        with counted("speech"):
            serve("speech")
            key.require_model(settings.model_speech_name)
            with limits.enter(key):
                asked, audio = transcribe.read()
                known(asked.model, settings.model_speech_name)
                return transcribe.answer(client, asked, audio, Caller().gone)

    embed, rank, transcribe = Embeddings(settings), Ranking(settings), Transcriptions(settings)
    return routes


def known(asked: str, served: str) -> None:
    """Raises `NotFound` for another model."""
    if asked != served:
        raise NotFound(
            f"The model {asked[:64]!r} is not served here.", code="model_not_found", param="model"
        )


def _counter(registry: CollectorRegistry) -> Callable[[Kind], AbstractContextManager[None]]:
    requests = Counter(
        "shenqiao_aux_requests_total",
        "Requests for auxiliary models by kind and HTTP status.",
        ["kind", "code"],
        registry=registry,
    )

    @contextmanager
    def counted(kind: Kind) -> Iterator[None]:
        code = 200
        try:
            yield
        except ApiError as error:
            code = error.status
            raise
        except ValidationError:
            code = 400
            raise
        except HTTPException as error:
            code = error.code or 500
            raise
        except Exception:
            code = 500
            raise
        finally:
            requests.labels(kind, str(code)).inc()

    return counted
