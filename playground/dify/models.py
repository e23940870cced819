"""Which model a node means: package B's, or another one that the site has in Dify; used by `runs`."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import httpx_sse

from playground.dify.packages import MODEL_TIMEOUT_S, Packages, Session

OURS = "shenqiao/shenqiao_model/"


class ModelError(Exception):
    """The model is not set up, or gave no answer."""


@dataclass(frozen=True)
class OtherModel:
    """Somebody else's model behind an address that speaks OpenAI's protocol, as another package would call it."""

    url: str
    api_key: str
    features: tuple[str, ...] = ()

    def invoke(
        self, model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Chunks in the SDK's shape. Raises `ModelError`."""
        body = {
            **parameters,
            "model": model,
            "stream": True,
            "messages": [_message(message) for message in messages],
        }
        headers = {"Authorization": f"Bearer {self.api_key}"}
        try:
            with (
                httpx.Client(timeout=MODEL_TIMEOUT_S, trust_env=False) as http,
                httpx_sse.connect_sse(
                    http, "POST", f"{self.url}/chat/completions", json=body, headers=headers
                ) as source,
            ):
                source.response.raise_for_status()
                yield from _chunks(model, source)
        except (httpx.HTTPError, httpx_sse.SSEError) as error:
            raise ModelError(f"The model did not answer: {error}") from error


class Models:
    """All models by their provider's full id. What they can do is asked once, as Dify does."""

    def __init__(self, packages: Packages, others: Mapping[str, OtherModel]) -> None:
        self._packages = packages
        self._others = dict(others)
        self._features: dict[tuple[str, str], frozenset[str]] = {}
        self._lock = threading.Lock()

    def invoke(
        self,
        provider: str,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        parameters: Mapping[str, Any],
        session: Session,
    ) -> Iterator[dict[str, Any]]:
        """Raises `ModelError`, `PluginError`."""
        if provider.startswith(OURS):
            return self._packages.invoke_model(provider, model, messages, parameters, session)
        return self._other(provider).invoke(model, messages, parameters)

    def features(self, provider: str, model: str) -> frozenset[str]:
        """Dify's words for what a model can do. Raises `ModelError`, `PluginError`."""
        if not provider.startswith(OURS):
            return frozenset(self._other(provider).features)
        with self._lock:
            known = self._features.get((provider, model))
            if known is None:
                schema = self._packages.model_schema(provider, model)
                known = self._features[provider, model] = frozenset(schema.get("features") or ())
        return known

    def _other(self, provider: str) -> OtherModel:
        """An app that was imported and whose model nobody has chosen names an empty provider."""
        try:
            return self._others[provider]
        except KeyError:
            raise ModelError(f"Model provider {provider} is not set up.") from None


def _chunks(model: str, source: httpx_sse.EventSource) -> Iterator[dict[str, Any]]:
    index = 0
    for event in source.iter_sse():
        if event.data == "[DONE]":
            return
        said = json.loads(event.data)
        if "error" in said:
            raise ModelError("The model failed.")
        for choice in said.get("choices", []):
            text = choice["delta"].get("content") or ""
            index += 1
            yield {
                "model": model,
                "prompt_messages": [],
                "system_fingerprint": None,
                "delta": {
                    "index": index,
                    "message": {"role": "assistant", "content": text},
                    "usage": None,
                    "finish_reason": choice.get("finish_reason"),
                },
            }


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, list):
        content = [_part(part) for part in content]
    return {"role": message["role"], "content": content}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["data"]}
        case "image":
            address = f"data:{part['mime_type']};base64,{part['base64_data']}"
            return {"type": "image_url", "image_url": {"url": address, "detail": part["detail"]}}
    raise ModelError(f"The model takes no {part['type']}.")
