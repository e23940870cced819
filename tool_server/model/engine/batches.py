"""The batches: transformers' continuous batching behind guards, so that nothing a caller sends can end it.

Each hazard of the manager has its guard here: what does not fit is refused before it is submitted, tokens are chosen
by us, ids are ours, a loop that died is made anew on the same weights, a cancelled request is closed by us.
"""

import gc
import time
import traceback
from collections.abc import Callable, Sequence

import structlog
import torch
from transformers import (
    ContinuousBatchingConfig,
    ContinuousBatchingManager,
    GenerationConfig,
    PreTrainedModel,
)
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
)
from transformers.generation.continuous_batching.requests import (
    FutureRequestState,
    GenerationOutput,
    RequestState,
    RequestStatus,
)

from tool_server.model.engine.backend import Broken, context_limit, ends_of
from tool_server.model.engine.picker import Picker, steer
from tool_server.model.engine.requests import Deliver, Output, Requests
from tool_server.model.wire import Accepted, Refused, Submit
from tool_server.settings import Settings

log = structlog.get_logger()

# Making the cache takes a moment, more on a device that is just waking up.
CACHE_S = 120.0


class Batches:
    """Submit and cancel from any thread; `deliver` is called on the loop's own thread, once a step and owner."""

    def __init__(self, model: PreTrainedModel, settings: Settings, deliver: Deliver) -> None:
        self._model = model
        self._settings = settings
        self.ends = ends_of(model)
        self.requests = Requests(
            settings.model_max_running + settings.model_max_queued, self.ends, deliver
        )
        self.vocabulary = int(model.config.vocab_size)
        self.restarts = 0
        self._manager: ContinuousBatchingManager | None = self._new_manager()
        self.context_tokens = context_limit(model, settings, self._pages())

    def submit(self, request: Submit, picker: Picker, owner: object) -> Accepted | Refused:
        """Take a request that was checked, or say at once why not; never waits."""
        refusal = self.requests.enter(request, picker, owner)
        if refusal is not None:
            return refusal
        manager = self._manager
        if manager is not None and self._add(manager, request):
            return Accepted(request.id)
        self.requests.leave(request.id)
        return Refused(request.id, "unavailable", "The engine is being restarted.")

    def cancel(self, request_id: str) -> None:
        """Forget a request; the manager tells nobody that it ended, so its place is free from here on."""
        if self.requests.leave(request_id) and self._manager is not None:
            self._manager.cancel_request(request_id)

    def watch(self) -> None:
        """Replace a loop that has died; called several times a second. Its requests end here, if they have not yet.

        Raises `Broken` where the device itself has failed: only a new process helps.
        """
        manager = self._manager
        if manager is None or manager.is_running():
            return
        error = manager.background_thread_status.fatal_error
        if isinstance(error, torch.AcceleratorError):
            raise Broken("the device failed")
        self.restarts += 1
        log.error("engine.loop_died", restarts=self.restarts, error=type(error).__name__)
        self._manager = None
        _discard(manager)
        del manager, error
        self.requests.fail_all()  # one that came while the loop was dying was failed by nobody
        gc.collect()  # the cache goes before the next one comes: there is no room for two
        self._manager = self._new_manager()

    def stop(self) -> None:
        if self._manager is not None:
            self._manager.stop(block=True, timeout=2.0, hard_stop=True)

    def _pages(self) -> int:
        """Pages of the cache; where the device's memory decides, they are known once the loop has made it."""
        deadline = time.monotonic() + CACHE_S
        while self._manager is not None and self._manager.batch_processor is None:
            if not self._manager.is_running() or time.monotonic() > deadline:
                raise Broken("the key-value cache cannot be made")
            time.sleep(0.01)
        assert self._manager is not None
        assert self._manager.batch_processor is not None
        return int(self._manager.batch_processor.cache.num_blocks)

    def _add(self, manager: ContinuousBatchingManager, request: Submit) -> bool:
        return (
            manager.add_request(
                input_ids=request.prompt,
                request_id=request.id,
                max_new_tokens=request.max_tokens,
                streaming=True,
            )
            is not None
        )

    def _new_manager(self) -> ContinuousBatchingManager:
        settings = self._settings
        manager = self._model.init_continuous_batching(
            generation_config=GenerationConfig(
                do_sample=False, eos_token_id=sorted(self.ends) or -1, pad_token_id=0
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=settings.model_page_tokens,
                num_blocks=settings.model_pages or None,
                max_batch_tokens=settings.model_max_batch_tokens,
                max_requests_per_batch=settings.model_max_running,
                max_memory_percent=settings.model_gpu_share,
                allow_block_sharing=True,
                use_async_batching=False,
                use_cuda_graph=False,
                auto_switch_to_flash=False,
            ),
        )
        _take_over_choice(manager, self.requests)
        manager.output_router = _Router(self._take)
        manager.start()
        return manager

    def _take(self, outputs: Sequence[GenerationOutput]) -> None:
        """One step's outputs, on the loop's thread."""
        early = self.requests.advance(
            Output(
                output.request_id,
                output.generated_tokens,
                finished=output.is_finished(),
                failed=output.status == RequestStatus.FAILED,
            )
            for output in outputs
        )
        for request_id in early:
            if self._manager is not None:
                self._manager.cancel_request(request_id)


class _Choice(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]
    """Stands as the only logits processor: leaves of each row the token that we chose, which the manager then takes."""

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012  (as the base class declares it)
    ignored_kwargs = ()

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._rows: list[Picker | None] = []

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(
        self, requests_with_new_token: list[FutureRequestState]
    ) -> torch.Tensor:
        """Called right before each step, in the order of the logits' rows."""
        self._rows = [
            self._requests.picker(future.state.request_id) for future in requests_with_new_token
        ]
        return torch.zeros(len(self._rows), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        steer(scores, self._rows)
        return scores


def _take_over_choice(manager: ContinuousBatchingManager, requests: Requests) -> None:
    """Put our processor where the manager keeps its own; before its start, which sizes tensors by it."""
    processors = manager.logit_processor
    processors.clear()
    processors.logits_processor.append(_Choice(requests))
    processors.tensors_required = 1
    processors.do_processing = True


def _discard(manager: ContinuousBatchingManager) -> None:
    """Let go of the cache of a loop that has died; the frames of its last error hold on to it as well."""
    error = manager.background_thread_status.fatal_error
    while error is not None:
        if error.__traceback__ is not None:
            traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__context__
    manager.background_thread_status.fatal_error = None
    manager.batch_processor = None


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
