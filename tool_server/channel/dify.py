"""Dify's Service API as the channel needs it: ask an app as one person, look a message up, stop a run; for `ask`.

Shapes: docs.dify.ai, "Service API" of a chatflow. Where a stream's reader goes away, Dify drops the answer's text.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx_sse

from tool_server.channel.account import Account

CONNECT_S = 5.0
# Dify sends a ping every 10 s while an app works.
SILENCE_S = 35.0
LOOKUP_S = 10.0
# Newest conversations and messages that a look-up reads.
LOOKUP_ROWS = 20


class DifyError(Exception):
    """The app gave no answer. `retry` where a later try may help; `code` as Dify names it."""

    def __init__(self, code: str, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry


class UnknownConversation(DifyError):
    """Dify does not know this conversation (any more), or it belongs to another person."""

    def __init__(self) -> None:
        super().__init__("not_found", "Dify does not know this conversation.", retry=True)


@dataclass(frozen=True)
class Question:
    """What an app is asked: by whom, in which conversation ("" begins one), with which ticket."""

    text: str
    user: str
    conversation: str
    ticket: str


@dataclass(frozen=True)
class Started:
    """The first event of a run: the ids under which it can be found again."""

    task: str
    message: str
    conversation: str


@dataclass(frozen=True)
class Growing:
    """How far a run is: its text so far, raw, and the title of the node that works while there is none."""

    text: str
    progress: str


@dataclass(frozen=True)
class Source:
    """A passage that the model was given: its title and its text."""

    title: str
    content: str


@dataclass(frozen=True)
class Answered:
    """The end of a run: its whole text, with the passages that the model was given."""

    text: str
    conversation: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Found:
    """A message that Dify has on record; `text` is empty while it runs, and for ever if its reader went away."""

    message: str
    conversation: str
    text: str
    failed: bool
    sources: tuple[Source, ...] = field(default=())


class Dify:
    """One HTTP client for all accounts; each call names the account whose app it means."""

    def __init__(self, *, ask_timeout_s: float) -> None:
        self._ask_timeout_s = ask_timeout_s
        timeout = httpx.Timeout(LOOKUP_S, connect=CONNECT_S, read=SILENCE_S)
        self._http = httpx.Client(timeout=timeout, trust_env=False)

    def ask(self, account: Account, question: Question) -> Iterator[Started | Growing | Answered]:
        """Run the app: first `Started`, at last `Answered`. Raises `DifyError`."""
        deadline = time.monotonic() + self._ask_timeout_s
        run = _Run()
        try:
            with httpx_sse.connect_sse(
                self._http,
                "POST",
                f"{account.dify_url}/chat-messages",
                headers=_headers(account),
                json=_body(question),
            ) as source:
                _raise_for_status(source.response, question.conversation)
                yield from run.read(source, deadline)
        except httpx.HTTPError:
            raise DifyError("unreachable", "Dify cannot be reached.", retry=True) from None
        except (ValueError, httpx_sse.SSEError):
            raise DifyError("cut", "The app's stream cannot be read.", retry=True) from None
        yield run.answered()

    def find(self, account: Account, question: Question, message: str) -> Found | None:
        """The run of `message` or, without an id, the one that carries the question's ticket; None if there is none."""
        for conversation in self._conversations(account, question):
            query = {"conversation_id": conversation, "user": question.user, "limit": LOOKUP_ROWS}
            for row in self._get(account, "/messages", query).get("data", []):
                ours = row.get("id") == message
                if ours or (not message and row.get("inputs", {}).get("ticket") == question.ticket):
                    return _found(row)
        return None

    def stop(self, account: Account, task: str, user: str) -> None:
        """End a run that nobody reads any more; one that has ended already is no error."""
        try:
            self._http.post(
                f"{account.dify_url}/chat-messages/{task}/stop",
                headers=_headers(account),
                json={"user": user},
            )
        except httpx.HTTPError:
            return

    def parameters(self, account: Account) -> Mapping[str, Any]:
        """What the app declares; for the check when an account is saved. Raises `DifyError`."""
        return self._get(account, "/parameters", {})

    def close(self) -> None:
        self._http.close()

    def _conversations(self, account: Account, question: Question) -> list[str]:
        if question.conversation:
            return [question.conversation]
        query = {"user": question.user, "limit": LOOKUP_ROWS}
        rows = self._get(account, "/conversations", query).get("data", [])
        return [str(row["id"]) for row in rows]

    def _get(self, account: Account, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = self._http.get(
                account.dify_url + path,
                params=dict(query),
                headers=_headers(account),
                timeout=LOOKUP_S,
            )
            _raise_for_status(response, str(query.get("conversation_id", "")))
            answer = response.json()
        except (httpx.HTTPError, json.JSONDecodeError):
            raise DifyError("unreachable", "Dify cannot be reached.", retry=True) from None
        return answer if isinstance(answer, dict) else {}


class _Run:
    """What has been read of a stream so far."""

    def __init__(self) -> None:
        self._started: Started | None = None
        self._text: list[str] = []
        self._progress = ""
        self._sources: tuple[Source, ...] = ()
        self._ended = False

    def read(self, source: httpx_sse.EventSource, deadline: float) -> Iterator[Started | Growing]:
        for event in source.iter_sse():
            if time.monotonic() > deadline:
                raise DifyError("timeout", "The app took too long.", retry=False)
            if not event.data:
                continue
            data = json.loads(event.data)
            if self._started is None and data.get("message_id"):
                self._started = _started(data)
                yield self._started
            before = (len(self._text), self._progress)
            self._take(data)
            if before != (len(self._text), self._progress):
                yield Growing("".join(self._text), self._progress)

    def _take(self, data: Mapping[str, Any]) -> None:
        match data.get("event"):
            case "node_started":
                self._progress = str(data.get("data", {}).get("title", ""))
            case "message":
                self._text.append(str(data.get("answer", "")))
            case "message_replace":
                self._text = [str(data.get("answer", ""))]
            case "message_end":
                self._ended = True
                self._sources = _sources(data.get("metadata", {}))
            case "error":
                raise DifyError(
                    str(data.get("code", "error")), "The app's run failed.", retry=False
                )

    def answered(self) -> Answered:
        if not self._ended or self._started is None:
            raise DifyError("cut", "The app's stream ended early.", retry=True)
        return Answered("".join(self._text), self._started.conversation, self._sources)


def _headers(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.dify_key.get_secret_value()}"}


def _body(question: Question) -> dict[str, Any]:
    return {
        "query": question.text,
        "user": question.user,
        "inputs": {"ticket": question.ticket},
        "response_mode": "streaming",
        "conversation_id": question.conversation,
        "auto_generate_name": False,
    }


def _started(data: Mapping[str, Any]) -> Started:
    return Started(
        task=str(data.get("task_id", "")),
        message=str(data["message_id"]),
        conversation=str(data.get("conversation_id", "")),
    )


def _found(row: Mapping[str, Any]) -> Found:
    return Found(
        message=str(row["id"]),
        conversation=str(row.get("conversation_id", "")),
        text=str(row.get("answer") or ""),
        failed=row.get("status") == "error",
        sources=_sources(row),
    )


def _sources(holder: Mapping[str, Any]) -> tuple[Source, ...]:
    rows = holder.get("retriever_resources") or []
    return tuple(
        Source(str(row.get("document_name") or ""), str(row.get("content") or "")) for row in rows
    )


def _raise_for_status(response: httpx.Response, conversation: str) -> None:
    if response.status_code < 400:
        return
    response.read()
    code = _error_code(response)
    if response.status_code == 404 and conversation:
        raise UnknownConversation
    retry = response.status_code in (408, 429) or response.status_code >= 500
    raise DifyError(code, f"Dify answered {response.status_code}.", retry=retry)


def _error_code(response: httpx.Response) -> str:
    try:
        return str(response.json()["code"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"http_{response.status_code}"
