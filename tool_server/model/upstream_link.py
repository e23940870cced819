"""The connections to the upstreams: one event loop in a thread of its own, one HTTP client, places, probes.

Its own thread, because a task alone can be cancelled in every state: connecting, waiting for the first byte, reading.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import structlog

from tool_server.model.upstream_answers import Moved
from tool_server.model.upstream_metrics import UpstreamMetrics
from tool_server.model.upstream_pool import Pool, Upstream
from tool_server.model.upstream_urls import root
from tool_server.settings import Settings, SettingsError

log = structlog.get_logger()

# A probe's answer is small; a server that needs longer for it is not well.
PROBE_S = 5.0
WRITE_S = 30.0
CLOSE_S = 5.0


class Link:
    """What all calls share. Everything but `submit` and `close` belongs to the loop's thread."""

    def __init__(self, settings: Settings, pool: Pool, metrics: UpstreamMetrics) -> None:
        self.pool = pool
        self.first_token_s = settings.model_upstream_first_token_s
        self.silence_s = settings.model_upstream_silence_s
        self.waiting = 0
        key = settings.model_upstream_key.get_secret_value()
        self.hidden = tuple(text for text in (key, *(u.name for u in pool.upstreams)) if text)
        self._metrics = metrics
        self._model = settings.model_upstream_model
        self._probe_s = settings.model_upstream_probe_s
        self._places = asyncio.Semaphore(settings.model_upstream_max_running)
        self._client = _client(settings, key)
        self._loop = asyncio.new_event_loop()
        self._probes: list[Future[None]] = []
        self._thread = threading.Thread(target=self._serve, name="upstream", daemon=True)
        self._thread.start()
        for upstream in pool.upstreams:
            self._probes.append(self.submit(self._watch(upstream)))

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run it on the loop's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        for probe in self._probes:
            probe.cancel()
        with contextlib.suppress(TimeoutError):
            self.submit(self._end()).result(CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)

    def count(self, upstream: Upstream, result: str) -> None:
        self._metrics.calls.labels(upstream.name, result).inc()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the places of `max_running`; who came first gets the next."""
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def send(self, upstream: Upstream, body: Mapping[str, Any], name: str) -> httpx.Response:
        """Ask for a stream; returns with the answer's head. Raises `httpx.HTTPError`, `Moved`."""
        if not (self._model or upstream.model):
            await self._look(upstream)
        request = self._client.build_request(
            "POST",
            f"{upstream.url}/chat/completions",
            json={**body, "model": self._model or upstream.model},
            headers={"X-Request-Id": name},
        )
        return await self._client.send(request, stream=True)

    async def _watch(self, upstream: Upstream) -> None:
        """Probe one upstream for ever."""
        while True:
            upstream.probed(await self._probe(upstream))
            await asyncio.sleep(self._probe_s)

    async def _probe(self, upstream: Upstream) -> str:
        """What is wrong with it; empty when nothing is."""
        try:
            await self._look(upstream)
            return await self._ask_health(upstream)
        except Moved as moved:
            return moved.reason
        except httpx.HTTPError as error:
            return type(error).__name__

    async def _look(self, upstream: Upstream) -> None:
        """Read its `/models`: it answers, and these are its model and context."""
        response = await self._client.get(f"{upstream.url}/models", timeout=PROBE_S)
        if response.status_code != httpx.codes.OK:
            raise Moved(f"status {response.status_code} for its models")
        model = _find(response, self._model)
        upstream.model = str(model["id"])
        context = model.get("max_model_len") or model.get("context_length")
        upstream.context_tokens = context if isinstance(context, int) else 0

    async def _ask_health(self, upstream: Upstream) -> str:
        """vLLM and SGLang look at their engine here; a server without this route is not the worse for it."""
        try:
            response = await self._client.get(f"{root(upstream.url)}/health", timeout=PROBE_S)
        except httpx.TimeoutException:
            return ""  # SGLang's answer waits behind other requests
        return f"status {response.status_code} for its health" if response.is_server_error else ""

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()


def _find(response: httpx.Response, wanted: str) -> Mapping[str, Any]:
    """The wanted model of a list, or its first. Raises `Moved`."""
    try:
        models = {str(model["id"]): model for model in response.json()["data"]}
    except (ValueError, KeyError, TypeError):
        raise Moved("its list of models cannot be read") from None
    if (wanted and wanted not in models) or not models:
        raise Moved("it does not serve the model")
    return models[wanted] if wanted else next(iter(models.values()))


def _client(settings: Settings, key: str) -> httpx.AsyncClient:
    """No proxies or keys from the environment, no redirects, bounded pool."""
    places = settings.model_upstream_max_running + 2 * len(settings.model_upstream_urls.split(","))
    headers = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connect_s = settings.model_upstream_connect_s
    return httpx.AsyncClient(
        headers=headers,
        timeout=httpx.Timeout(None, connect=connect_s, write=WRITE_S, pool=connect_s),
        limits=httpx.Limits(max_connections=places, max_keepalive_connections=places),
        verify=_trust(settings.model_upstream_ca),
        trust_env=False,
    )


def _trust(authority: Path) -> ssl.SSLContext | bool:
    if authority == Path():
        return True
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError):
        raise SettingsError(
            f"SHENQIAO_MODEL_UPSTREAM_CA: {str(authority)!r} holds no certificate."
        ) from None
