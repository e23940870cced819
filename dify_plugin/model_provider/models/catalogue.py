"""Which models a tool server has, and with what figures; asked once a minute and kept for all calls of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from dify_plugin.errors.model import InvokeBadRequestError, InvokeError
from models.openai_wire import ModelServer
from models.shapes import Model

KEEP_S = 60.0
# A server that did not answer is not asked again by each of the calls that follow at once.
AGAIN_S = 5.0
# Dify asks for a model's figures in the middle of other work.
WITHIN_S = 3.0
SERVERS = 100
NAMES = 8


@dataclass(frozen=True)
class _Listing:
    """What a server said last, and why it did not say more since."""

    models: tuple[Model, ...] | None
    error: InvokeError | None
    until: float


class Catalogue:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._listings: dict[str, _Listing] = {}

    def find(self, server: ModelServer, name: str, kind: str) -> Model:
        """A model's figures; the last known ones while the server is away. Raises an `InvokeError` with a sentence."""
        listing = self._listings.get(server.identity)
        if listing is None or listing.until <= self._clock():
            listing = self._ask(server, listing)
        if listing.models is not None:
            return pick(listing.models, name, kind)
        error = listing.error or InvokeError()
        raise type(error)(str(error))

    def _ask(self, server: ModelServer, before: _Listing | None) -> _Listing:
        try:
            models = tuple(server.models(within_s=WITHIN_S))
            listing = _Listing(models, None, self._clock() + KEEP_S)
        except InvokeError as error:
            known = before.models if before else None
            listing = _Listing(known, error, self._clock() + AGAIN_S)
        self._listings.pop(server.identity, None)
        while len(self._listings) >= SERVERS:
            del self._listings[next(iter(self._listings))]
        self._listings[server.identity] = listing
        return listing


def pick(models: Iterable[Model], name: str, kind: str) -> Model:
    """The model of this name and Dify type. Raises `InvokeBadRequestError` saying what there is instead."""
    models = list(models)
    for model in models:
        if model.id == name and model.type == kind:
            return model
    for model in models:
        if model.id == name:
            raise InvokeBadRequestError(
                f'"{name}" is of the type {model.type}, not {kind}: choose that type.'
            )
    served = [model.id for model in models if model.type == kind][:NAMES]
    there = f"of this type it serves: {', '.join(served)}." if served else "none of this type."
    raise InvokeBadRequestError(f'The tool server does not serve "{name}"; {there}')


@cache
def catalogue() -> Catalogue:
    """The one of this process."""
    return Catalogue()
