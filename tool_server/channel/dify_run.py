"""Reading the stream of one run: text, progress, sources and files out of the Service API's events; for `dify`.

Events: docs.dify.ai, "Send Chat Message", of chatflows, agents and chatbots alike.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx_sse

from tool_server.channel.dify_values import (
    Answered,
    DifyError,
    Found,
    Growing,
    Outcome,
    Produced,
    Source,
    Started,
)
from tool_server.channel.surface import MediaKind

# Nodes whose titles tell a person something; the others are plumbing.
TELLING_NODES = (
    *("agent", "document-extractor", "http-request", "knowledge-retrieval", "llm", "tool"),
)
KINDS: Mapping[str, MediaKind] = {"image": "image", "audio": "voice", "video": "video"}
# A picture of an answer's markdown, and a link to a file that Dify holds.
PICTURE = re.compile(r"!\[([^\]\n]*)\]\((\S+?)(?:\s+\"[^\"\n]*\")?\)")
LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\((\S+?)\)")
OWN_FILES = "/files/"
# A workflow run's states; in all others it ended without an answer, or waits for a person.
RUNNING = ("running", "scheduled")
ENDED_WELL = ("succeeded", "partial-succeeded")


class Run:
    """What has been read of a stream so far; `base` is the Service API's address."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._started: Started | None = None
        self._text: list[str] = []
        self._progress = ""
        self._sources: tuple[Source, ...] = ()
        self._files: list[Produced] = []
        self._ended = False

    def read(self, source: httpx_sse.EventSource, deadline: float) -> Iterator[Started | Growing]:
        """All events up to the end. Raises `DifyError` for a run that failed or took too long."""
        for event in source.iter_sse():
            if time.monotonic() > deadline:
                raise DifyError("timeout", "The app took too long.", retry=False)
            if event.data:
                data = json.loads(event.data)
                if not isinstance(data, dict):
                    raise ValueError("an event that is no object")
                if self._started is None and data.get("message_id"):
                    self._started = _started(data)
                    yield self._started
                self._take(data)
            yield Growing("".join(self._text), self._progress)

    def answered(self) -> Answered:
        """The whole answer. Raises `DifyError` for a stream that ended before."""
        if not self._ended or self._started is None:
            raise DifyError("cut", "The app's stream ended early.", retry=True)
        text = "".join(self._text)
        files = _distinct([*self._files, *_linked(text, self._base)])
        return Answered(text, self._started.conversation, self._sources, files)

    def _take(self, data: Mapping[str, Any]) -> None:
        match data.get("event"):
            case "node_started":
                node = data.get("data") or {}
                if node.get("node_type") in TELLING_NODES:
                    self._progress = str(node.get("title") or "")
            case "agent_thought" if data.get("tool"):
                self._progress = str(data["tool"]).partition(";")[0]
            case "message" | "agent_message":
                self._text.append(str(data.get("answer") or ""))
            case "message_replace":
                self._text = [str(data.get("answer") or "")]
            case "message_file":
                self._files += _produced([data], self._base)
            case "message_end":
                self._ended = True
                self._sources = _sources(data.get("metadata") or {})
                self._files += _produced(data.get("files") or [], self._base)
            case "error":
                code = str(data.get("code") or "error")
                raise DifyError(code, "The app's run failed.", retry=False)


def found(row: Mapping[str, Any], base: str) -> Found:
    """A row of `/messages`."""
    text = str(row.get("answer") or "")
    files = [*_produced(row.get("message_files") or [], base), *_linked(text, base)]
    return Found(
        message=str(row["id"]),
        conversation=str(row.get("conversation_id", "")),
        text=text,
        failed=row.get("status") == "error",
        sources=_sources(row),
        files=_distinct(files),
    )


def outcome(row: Mapping[str, Any]) -> Outcome:
    """What `/workflows/run/…` says; outputs are an object or, in older versions, its JSON."""
    if row.get("status") in RUNNING:
        return Outcome(running=True)
    outputs = row.get("outputs") or {}
    if isinstance(outputs, str):
        outputs = json.loads(outputs)
    answer = outputs.get("answer") if isinstance(outputs, dict) else None
    ended_well = row.get("status") in ENDED_WELL
    return Outcome(running=False, text=answer if ended_well and isinstance(answer, str) else "")


def _started(data: Mapping[str, Any]) -> Started:
    return Started(
        task=str(data.get("task_id", "")),
        message=str(data["message_id"]),
        conversation=str(data.get("conversation_id", "")),
        run=str(data.get("workflow_run_id") or ""),
    )


def _sources(holder: Mapping[str, Any]) -> tuple[Source, ...]:
    return tuple(_source(row) for row in holder.get("retriever_resources") or [])


def _source(row: Mapping[str, Any]) -> Source:
    metadata = row.get("doc_metadata")
    url = metadata.get("url") if isinstance(metadata, dict) else None
    return Source(
        str(row.get("document_name") or ""), str(row.get("content") or ""), str(url or "")
    )


def _produced(rows: Sequence[Mapping[str, Any]], base: str) -> list[Produced]:
    """The files that the app made; those of the person come back too and are left out."""
    return [
        Produced(
            KINDS.get(str(row.get("type")), "file"),
            urljoin(f"{base}/", str(row.get("url") or row.get("remote_url"))),
            str(row.get("filename") or ""),
        )
        for row in rows
        if row.get("belongs_to") != "user" and (row.get("url") or row.get("remote_url"))
    ]


def _linked(text: str, base: str) -> list[Produced]:
    """Pictures that the text shows, and links to files that Dify holds."""
    pictures = [
        Produced("image", urljoin(f"{base}/", url), alt) for alt, url in PICTURE.findall(text)
    ]
    links = [Produced("file", urljoin(f"{base}/", url), name) for name, url in LINK.findall(text)]
    return [one for one in pictures if urlsplit(one.url).scheme in ("http", "https")] + [
        one for one in links if _is_own(one.url, base)
    ]


def _is_own(url: str, base: str) -> bool:
    there, here = urlsplit(url), urlsplit(base)
    return there.netloc == here.netloc and there.path.startswith(OWN_FILES)


def _distinct(files: Sequence[Produced]) -> tuple[Produced, ...]:
    """Each address once: a picture of the text comes as an event, too."""
    return tuple({file.url: file for file in reversed(files)}.values())[::-1]
