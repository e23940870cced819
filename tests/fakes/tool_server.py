"""A tool server for the packages' tests: real HTTP, answers by script."""

import json
import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, jsonify, request

from playground.serving import Server

KEY = "sq-right"
PASSAGE: dict[str, Any] = {
    "content": "员工每年享有 12 天带薪年假。",
    "title": "员工手册 › 年假",
    "score": 0.5,
    "document_id": "741cb8d6-7de5-5e2e-9461-bd3567db5daf",
    "source_id": "员工手册.md",
    "segment_id": "0c2d7148-6e7b-5abb-9f22-ad039fe75d0e",
    "url": "",
    "base": "handbook",
}


class FakeToolServer:
    """`with FakeToolServer() as server:`; change `found`, `status`, `slow_s`, `deltas` as a test needs."""

    def __init__(self) -> None:
        self.found = True
        self.status = 200
        self.slow_s = 0.0
        self.deltas: list[dict[str, str]] = [{"content": "12 "}, {"content": "天"}]
        self.break_stream = False
        self.searches: list[dict[str, Any]] = []
        self.documents: list[dict[str, Any]] = []
        self.chats: list[dict[str, Any]] = []
        self.callbacks: list[dict[str, Any]] = []
        self._server = Server(self._app())

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> "FakeToolServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _app(self) -> Flask:
        app = Flask("fake_tool_server")
        app.add_url_rule("/knowledge/bases", view_func=self._bases)
        app.add_url_rule("/knowledge/search", view_func=self._search, methods=["POST"])
        app.add_url_rule("/knowledge/document", view_func=self._document, methods=["POST"])
        app.add_url_rule("/v1/models", view_func=self._models)
        app.add_url_rule("/v1/chat/completions", view_func=self._chat, methods=["POST"])
        app.add_url_rule(
            "/channel/<account>/callback", view_func=self._callback, methods=["GET", "POST"]
        )
        app.before_request(self._gate)
        return app

    def _gate(self) -> tuple[Response, int] | None:
        time.sleep(self.slow_s)
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not request.path.startswith("/channel/") and key != KEY:
            return self._error(401, "unauthorized")
        return None if self.status == 200 else self._error(self.status, "by script")

    def _error(self, status: int, message: str) -> tuple[Response, int]:
        answer = jsonify(error={"message": message, "code": "c", "type": "t", "param": None})
        answer.headers["Retry-After"] = "7"
        return answer, status

    def _bases(self) -> Response:
        return jsonify(bases=[{"name": "handbook", "documents": 1, "passages": 1}])

    def _search(self) -> Response:
        self.searches.append(request.get_json())
        return jsonify(found=self.found, passages=[PASSAGE])

    def _document(self) -> Response:
        self.documents.append(request.get_json())
        text = f"[2] {PASSAGE['content']}"
        return jsonify(
            document_id="d", title="员工手册", url="", text=text, truncated=True, next_offset=9
        )

    def _models(self) -> Response:
        return jsonify(object="list", data=[{"id": "private-deepseek", "context_length": 32768}])

    def _chat(self) -> Response:
        self.chats.append(request.get_json())
        return Response(self._events(), mimetype="text/event-stream")

    def _events(self) -> Iterator[str]:
        yield ": alive\n\n"
        for delta in self.deltas:
            yield _frame({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        if self.break_stream:
            yield _frame({"error": {"message": "The engine failed.", "code": "engine_failed"}})
            return
        yield _frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        yield _frame({"choices": [], "usage": usage})
        yield "data: [DONE]\n\n"

    def _callback(self, account: str) -> Response:
        self.callbacks.append(
            {
                "account": account,
                "method": request.method,
                "query": request.query_string.decode(),
                "body": request.get_data(),
                "type": request.content_type,
                "relay": request.headers.get("X-Shenqiao-Relay"),
            }
        )
        return Response(b"<xml>reply</xml>", mimetype="text/xml", headers={"X-Shenqiao": "1"})


def _frame(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
