"""Dify's Service API as the channel needs it: ask as one person, upload, look up, stop, give feedback; for `ask`.

Shapes: docs.dify.ai, "Service API" of a chatflow. Where a stream's reader goes away, Dify drops the answer's text.
"""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import httpx_sse

from tool_server.channel.account import Account
from tool_server.channel.dify_run import Run, found, outcome
from tool_server.channel.dify_values import (
    Answered,
    Attachment,
    DifyError,
    Found,
    Growing,
    Outcome,
    Produced,
    Question,
    Rating,
    Source,
    Started,
    UnknownConversation,
)

__all__ = [
    "Answered",
    "Attachment",
    "Dify",
    "DifyError",
    "Found",
    "Growing",
    "Outcome",
    "Produced",
    "Question",
    "Rating",
    "Source",
    "Started",
    "UnknownConversation",
]

CONNECT_S = 5.0
# Dify sends a ping every 10 s while an app works.
SILENCE_S = 35.0
LOOKUP_S = 10.0
UPLOAD_S = 60.0
# Newest conversations and messages that a look-up reads.
LOOKUP_ROWS = 20


class Dify:
    """One HTTP client for all accounts; each call names the account whose app it means."""

    def __init__(self, *, ask_timeout_s: float) -> None:
        self._ask_timeout_s = ask_timeout_s
        timeout = httpx.Timeout(LOOKUP_S, connect=CONNECT_S, read=SILENCE_S)
        self._http = httpx.Client(timeout=timeout, trust_env=False)

    def ask(self, account: Account, question: Question) -> Iterator[Started | Growing | Answered]:
        """Run the app: first `Started`, at last `Answered`. Raises `DifyError`."""
        deadline = time.monotonic() + self._ask_timeout_s
        run = Run(account.dify_url)
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
                carried = (row.get("inputs") or {}).get("ticket")
                if ours or (not message and carried == question.ticket):
                    return found(row, account.dify_url)
        return None

    def outcome(self, account: Account, run: str) -> Outcome | None:
        """How far a workflow's run is; None where Dify cannot say. Raises `DifyError` where it cannot be asked.

        A message's answer is stored by whoever reads the stream, a run's outputs (in newer versions) by the run itself.
        """
        try:
            return outcome(self._get(account, f"/workflows/run/{quote(run, safe='')}", {}))
        except DifyError as error:
            if error.retry:
                raise
            return None

    def stop(self, account: Account, task: str, user: str) -> bool:
        """End a run whose answer nobody wants; False where Dify did not take it. One that has ended is no error."""
        try:
            self._post(account, f"/chat-messages/{task}/stop", json={"user": user})
        except DifyError:
            return False
        return True

    def upload(self, account: Account, user: str, name: str, data: bytes, mime: str) -> str:
        """Give Dify a file for this person's next question; its id. Raises `DifyError`."""
        answer = self._post(
            account,
            "/files/upload",
            data={"user": user},
            files={"file": (name, data, mime)},
            timeout=UPLOAD_S,
        )
        upload_id = str(answer.get("id") or "")
        if not upload_id:
            raise DifyError("unreachable", "Dify took a file and named no id.", retry=True)
        return upload_id

    def feedback(
        self, account: Account, message: str, *, user: str, rating: Rating, content: str
    ) -> None:
        """What a person thinks of an answer; an empty rating takes it back. Raises `DifyError`."""
        body = {"rating": rating or None, "user": user, "content": content or None}
        self._post(account, f"/messages/{message}/feedbacks", json=body)

    def parameters(self, account: Account) -> Mapping[str, Any]:
        """What the app declares: opening, files, inputs. Raises `DifyError`."""
        return self._get(account, "/parameters", {})

    def mode(self, account: Account) -> str:
        """What kind of app it is; empty where this version of Dify does not say. Raises `DifyError`."""
        try:
            return str(self._get(account, "/info", {}).get("mode") or "")
        except DifyError as error:
            if error.retry:
                raise
            return ""

    def close(self) -> None:
        self._http.close()

    def _conversations(self, account: Account, question: Question) -> list[str]:
        if question.conversation:
            return [question.conversation]
        query = {"user": question.user, "limit": LOOKUP_ROWS}
        rows = self._get(account, "/conversations", query).get("data", [])
        return [str(row["id"]) for row in rows]

    def _get(self, account: Account, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        conversation = str(query.get("conversation_id", ""))
        return self._call("GET", account, path, conversation, params=dict(query))

    def _post(self, account: Account, path: str, **content: Any) -> dict[str, Any]:
        return self._call("POST", account, path, "", **content)

    def _call(
        self,
        method: str,
        account: Account,
        path: str,
        conversation: str,
        *,
        timeout: float = LOOKUP_S,
        **content: Any,  # httpx's: params, json, data, files
    ) -> dict[str, Any]:
        try:
            response = self._http.request(
                method,
                account.dify_url + path,
                headers=_headers(account),
                timeout=timeout,
                **content,
            )
            _raise_for_status(response, conversation)
            answer = response.json()
        except (httpx.HTTPError, ValueError):
            raise DifyError("unreachable", "Dify cannot be reached.", retry=True) from None
        return answer if isinstance(answer, dict) else {}


def _headers(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.dify_key.get_secret_value()}"}


def _body(question: Question) -> dict[str, Any]:
    body: dict[str, Any] = {
        "query": question.text,
        "user": question.user,
        "inputs": {"ticket": question.ticket},
        "response_mode": "streaming",
        "conversation_id": question.conversation,
        "auto_generate_name": False,
    }
    if question.attachments:
        body["files"] = [
            {
                "type": attachment.kind,
                "transfer_method": "local_file",
                "upload_file_id": attachment.upload_id,
            }
            for attachment in question.attachments
        ]
    return body


def _raise_for_status(response: httpx.Response, conversation: str) -> None:
    """A conversation that Dify does not know is a 404, in some versions a 400 that says nothing."""
    status = response.status_code
    if status < 400:
        return
    response.read()
    code, message = _error(response)
    if conversation and (status == 404 or (status == 400 and not message)):
        raise UnknownConversation
    retry = status in (408, 429) or status >= 500
    raise DifyError(code, f"Dify answered {status}.", retry=retry)


def _error(response: httpx.Response) -> tuple[str, str]:
    try:
        body = response.json()
        return str(body["code"]), str(body.get("message") or "")
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return f"http_{response.status_code}", response.text
