"""One request after another, for models whose caches cannot be paged (DeepSeek's MLA among them)."""

import threading
from collections import deque

import structlog
import torch
from transformers import DynamicCache, PreTrainedModel

from tool_server.model.engine.backend import Broken, context_limit, ends_of
from tool_server.model.engine.picker import Picker, steer
from tool_server.model.engine.requests import Deliver, Output, Requests
from tool_server.model.wire import Accepted, Refused, Submit
from tool_server.settings import Settings

log = structlog.get_logger()


class Sequential:
    """Takes requests in the order of their coming; a thread of its own makes their tokens."""

    def __init__(self, model: PreTrainedModel, settings: Settings, deliver: Deliver) -> None:
        self._model = model
        self._step = settings.model_max_batch_tokens
        self.requests = Requests(1 + settings.model_max_queued, ends_of(model), deliver)
        self.vocabulary = int(model.config.vocab_size)
        self.context_tokens = context_limit(model, settings)
        self.restarts = 0
        self._waiting: deque[tuple[Submit, Picker]] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._broken = False
        threading.Thread(target=self._run, name="sequential", daemon=True).start()

    def submit(self, request: Submit, picker: Picker, owner: object) -> Accepted | Refused:
        """Take a request that was checked, or say at once why not; never waits."""
        refusal = self.requests.enter(request, picker, owner)
        if refusal is not None:
            return refusal
        with self._changed:
            self._waiting.append((request, picker))
            self._changed.notify()
        return Accepted(request.id)

    def cancel(self, request_id: str) -> None:
        """Forget a request; it is dropped at its next token."""
        self.requests.leave(request_id)

    def watch(self) -> None:
        """Raises `Broken` where the device itself has failed."""
        if self._broken:
            raise Broken("the device failed")

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                request, picker = self._waiting.popleft()
            try:
                self._answer(request, picker)
            except Exception as error:  # one request's failure is not the next one's
                log.exception("engine.request_failed", error=type(error).__name__)
                self._broken = isinstance(error, torch.AcceleratorError)
                self.requests.advance([Output(request.id, (), failed=True)])

    @torch.inference_mode()
    def _answer(self, request: Submit, picker: Picker) -> None:
        cache = DynamicCache(config=self._model.config)
        logits = None
        for start in range(0, len(request.prompt), self._step):
            if request.id not in self.requests:
                return
            logits = self._forward(request.prompt[start : start + self._step], cache)
        assert logits is not None
        tokens: list[int] = []
        while request.id in self.requests:
            steer(logits, [picker])
            tokens.append(int(logits.argmax()))
            full = len(tokens) == request.max_tokens
            self.requests.advance([Output(request.id, tokens, finished=full)])
            if not full and request.id in self.requests:
                logits = self._forward(tokens[-1:], cache)

    def _forward(self, tokens: list[int], cache: DynamicCache) -> torch.Tensor:
        """Logits of the next token, [1, vocabulary], float32."""
        ids = torch.tensor([tokens], device=self._model.device)
        output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits
