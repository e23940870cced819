"""The batches: transformers' continuous batching behind guards, so that nothing a caller sends can end it.

Each hazard of the manager has its guard here: what does not fit is refused before it is submitted, temperature 0 is
top_k 1, ids are ours, a loop that died is made anew on the same weights, a cancelled request is closed by us.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from transformers import (
    ContinuousBatchingConfig,
    ContinuousBatchingManager,
    GenerationConfig,
    PreTrainedModel,
)
from transformers.generation.continuous_batching.requests import (
    GenerationOutput,
    RequestState,
    RequestStatus,
)

from tool_server.model.wire import Accepted, Finish, Refused, Step, Submit
from tool_server.settings import Settings

log = structlog.get_logger()

# Every processor exists only if the start-up configuration has a value that is not its default.
SAMPLING = GenerationConfig(do_sample=True, temperature=0.6, top_k=50, top_p=0.95)

type Deliver = Callable[[object, Step], None]


@dataclass
class _Request:
    """A request in the engine: whose it is, and how many of its tokens were sent."""

    owner: object
    started: float
    sent: int = 0


class Loop:
    """Submit and cancel from any thread; `deliver` is called on the loop's own thread, once a step and owner."""

    def __init__(self, model: PreTrainedModel, settings: Settings, deliver: Deliver) -> None:
        self._model = model
        self._settings = settings
        self._deliver = deliver
        self._requests: dict[str, _Request] = {}
        self._lock = threading.Lock()
        self._generation = _generation(model)
        self.context_tokens = min(
            int(model.config.max_position_embeddings),
            settings.model_pages * settings.model_page_tokens - settings.model_page_tokens,
            settings.model_max_prompt_tokens + settings.model_max_tokens,
        )
        self.vocabulary = int(model.config.vocab_size)
        self.restarts = 0
        self._manager = self._new_manager()

    def submit(self, request: Submit, owner: object) -> Accepted | Refused:
        """Take a request, or say at once why not; never waits."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        with self._lock:
            if request.id in self._requests:
                return Refused(request.id, "unavailable", "This id is in use.")
            if len(self._requests) >= self.capacity:
                return Refused(request.id, "busy", "The engine is full.")
            self._requests[request.id] = _Request(owner, time.perf_counter())
        if self._add(request):
            return Accepted(request.id)
        with self._lock:
            self._requests.pop(request.id, None)
        return Refused(request.id, "unavailable", "The engine is being restarted.")

    def cancel(self, request_id: str) -> None:
        """Forget a request; the manager tells nobody that it ended, so its place is free from here on."""
        with self._lock:
            known = self._requests.pop(request_id, None)
        if known is not None:
            self._manager.cancel_request(request_id)

    def cancel_all_of(self, owner: object) -> None:
        with self._lock:
            held = [name for name, request in self._requests.items() if request.owner is owner]
        for request_id in held:
            self.cancel(request_id)

    def watch(self) -> None:
        """Replace a loop that has died; called several times a second. Its requests were failed by then."""
        if not self._manager.is_running():
            self.restarts += 1
            log.error("engine.loop_died", restarts=self.restarts)
            self._manager = self._new_manager()

    @property
    def capacity(self) -> int:
        return self._settings.model_max_running + self._settings.model_max_queued

    @property
    def active(self) -> int:
        return len(self._requests)

    def stop(self) -> None:
        self._manager.stop(block=True, timeout=2.0, hard_stop=True)

    def _refusal(self, request: Submit) -> Refused | None:
        """What the manager would die of, or never get done."""
        if not request.prompt or request.max_tokens < 1:
            return Refused(request.id, "too_long", "There is nothing to answer.")
        if len(request.prompt) + request.max_tokens > self.context_tokens:
            return Refused(
                request.id,
                "too_long",
                f"{len(request.prompt)} tokens of prompt and {request.max_tokens} of answer are more than "
                f"the {self.context_tokens} of this model.",
            )
        if not all(0 <= token < self.vocabulary for token in request.prompt):
            return Refused(
                request.id, "too_long", "The prompt holds tokens that the model does not know."
            )
        return None

    def _add(self, request: Submit) -> bool:
        greedy = request.temperature == 0
        return (
            self._manager.add_request(
                input_ids=request.prompt,
                request_id=request.id,
                max_new_tokens=request.max_tokens,
                streaming=True,
                temperature=1.0 if greedy else float(request.temperature),
                top_k=1 if greedy else self._generation.top_k,
                top_p=1.0 if greedy else float(request.top_p),
            )
            is not None
        )

    def _new_manager(self) -> ContinuousBatchingManager:
        manager = self._model.init_continuous_batching(
            generation_config=self._generation,
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=self._settings.model_page_tokens,
                num_blocks=self._settings.model_pages,
                max_batch_tokens=self._settings.model_max_batch_tokens,
                max_requests_per_batch=self._settings.model_max_running,
                allow_block_sharing=True,
                use_async_batching=False,
                use_cuda_graph=False,
                auto_switch_to_flash=False,
                per_request_processors=True,
            ),
        )
        manager.output_router = _Router(self._take)
        manager.start()
        return manager

    def _take(self, outputs: Sequence[GenerationOutput]) -> None:
        """One step's outputs, on the loop's thread: the new tokens, grouped by who waits for them."""
        steps: dict[int, tuple[object, dict[str, list[int]], dict[str, Finish]]] = {}
        with self._lock:
            for output in outputs:
                request = self._requests.get(output.request_id)
                if request is None:
                    continue  # cancelled while the step ran
                _, tokens, finished = steps.setdefault(id(request.owner), (request.owner, {}, {}))
                new, end = self._progress(output, request)
                if new:
                    tokens[output.request_id] = new
                if end is not None:
                    finished[output.request_id] = end
                    del self._requests[output.request_id]
        for owner, tokens, finished in steps.values():
            self._deliver(owner, Step(tokens, finished))

    def _progress(
        self, output: GenerationOutput, request: _Request
    ) -> tuple[list[int], Finish | None]:
        tokens = list(output.generated_tokens)
        engine_s = time.perf_counter() - request.started
        new = tokens[request.sent :]
        request.sent = len(tokens)
        if not output.is_finished():
            return new, None
        if output.status == RequestStatus.FAILED:
            return new, Finish("error", engine_s, "The engine failed in the middle of this answer.")
        if tokens and tokens[-1] in self._ends:
            return new[:-1], Finish("stop", engine_s)
        return new, Finish("length", engine_s)

    @property
    def _ends(self) -> tuple[int, ...]:
        end = self._generation.eos_token_id
        return tuple(end) if isinstance(end, list) else (end,)


class _Router:
    """Stands where the manager's output router stood: whole steps go to us, without a queue in between."""

    def __init__(self, take: Callable[[Sequence[GenerationOutput]], None]) -> None:
        self._take = take

    def deliver(self, output: GenerationOutput) -> None:
        self._take((output,))

    def deliver_batch(self, outputs: list[GenerationOutput]) -> None:
        self._take(outputs)

    def fail_and_deliver(self, state: RequestState, error: Exception) -> None:
        state.status = RequestStatus.FAILED
        state.error = str(error)
        self.deliver(state.to_generation_output())


def _generation(model: PreTrainedModel) -> GenerationConfig:
    """The checkpoint's own ends, with sampling switched on for each request to set."""
    own = model.generation_config
    end = own.eos_token_id if own.eos_token_id is not None else model.config.eos_token_id
    return GenerationConfig(
        do_sample=True,
        temperature=SAMPLING.temperature,
        top_k=SAMPLING.top_k,
        top_p=SAMPLING.top_p,
        eos_token_id=-1 if end is None else end,
        pad_token_id=own.pad_token_id,
    )
