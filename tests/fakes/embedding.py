"""An embedding and rerank model for tests: real HTTP, vectors by rule; how good they are is the test's choice."""

import re
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from flask import Flask, Response, jsonify, request

from playground.serving import Server

DIMENSIONS = 256


def by_letters(text: str) -> list[float]:
    """A good leg: hashed runs of one to three characters."""
    return _hashed([text[at : at + n] for n in (1, 2, 3) for at in range(len(text) - n + 1)])


def by_english_words(text: str) -> list[float]:
    """A leg that knows English alone: all else is one unknown token."""
    words = re.findall("[a-z]+", text.lower())
    return _hashed([*words, "unknown"] if words else ["unknown"])


def constant(_text: str) -> list[float]:
    return [1.0] * DIMENSIONS


def random(text: str) -> list[float]:
    """Another direction for each text, that says nothing about it."""
    seed = zlib.crc32(text.encode())
    return [float(value) for value in np.random.default_rng(seed).standard_normal(DIMENSIONS)]


def _hashed(parts: list[str]) -> list[float]:
    vector = [0.0] * DIMENSIONS
    for part in parts:
        vector[zlib.crc32(part.encode()) % DIMENSIONS] += 1.0
    return vector


class FakeModel:
    """`with FakeModel(by_letters) as model:`; change `vector`, `status`, `slow_s`, `relevant` as a test needs."""

    def __init__(self, vector: Callable[[str], list[float]] = by_letters) -> None:
        self.vector = vector
        self.status = 200
        self.slow_s = 0.0
        self.relevant = ""  # documents that hold it are ranked first
        self.embedded: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        app = Flask("fake_model")
        app.add_url_rule("/v1/embeddings", view_func=self._embed, methods=["POST"])
        app.add_url_rule("/v1/rerank", view_func=self._rerank, methods=["POST"])
        self._server = Server(app)

    @property
    def url(self) -> str:
        return f"{self._server.url}/v1"

    def __enter__(self) -> "FakeModel":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _embed(self) -> tuple[Response, int]:
        body = self._took()
        self.embedded += body["input"]
        data = [
            {"index": at, "embedding": self.vector(text)} for at, text in enumerate(body["input"])
        ]
        return jsonify(data=data[::-1]), self.status

    def _rerank(self) -> tuple[Response, int]:
        scores = [0.9 if self.relevant in text else 0.1 for text in self._took()["documents"]]
        results = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
        return jsonify(results=results), self.status

    def _took(self) -> dict[str, Any]:
        time.sleep(self.slow_s)
        self.keys.append(request.headers.get("Authorization", ""))
        body: dict[str, Any] = request.get_json()
        self.bodies.append(body)
        return body
