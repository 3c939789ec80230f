"""Walk the chain: one candidate after another until one commits to the answer.

Before the commit a failure that another model could cure moves on; after it nobody else answers.
"""

import asyncio
from collections.abc import Awaitable, Mapping

from llm_router.errors import ClientGone
from llm_router.proxy.call import Call, Context
from llm_router.proxy.plain import PlainCall
from llm_router.proxy.stream import StreamCall
from llm_router.proxy.verdict import Fate, verdict
from llm_router.routing.chain import Candidate
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit, ProbeDue, Refusal


def dispatch(context: Context, chain: tuple[Candidate, ...]) -> Awaitable[None]:
    """Answer. Raises HttpError when nobody does, ResponseCut when the answer broke off."""
    return (_walk_alive if context.body.is_stream else _walk)(context, chain)


async def _walk_alive(context: Context, chain: tuple[Candidate, ...]) -> None:
    """Walk the chain while a client that is waiting for a stream gets comments."""
    context.client.keep_alive(lambda: _early_headers(context))
    try:
        await _walk(context, chain)
    finally:
        await context.client.stop_keep_alive()


async def _walk(context: Context, chain: tuple[Candidate, ...]) -> None:
    now = context.deadlines.now
    chain_ends = now() + context.settings.deadlines.chain_s
    fates: list[Fate] = []
    past_rate = False
    for position, candidate in enumerate(chain):
        if candidate.left_out is not None:
            fates.append(Fate(candidate, left_out=candidate.left_out))
            context.exchange.leave_out(candidate.model, candidate.left_out)
            continue
        if fates and now() >= chain_ends:
            break
        later = chain[position + 1 :]
        ended = await _ask(context, candidate, chain_ends, later, past_rate=past_rate)
        if ended is None:
            return
        fates.append(ended)
        if ended.refusal is not None:
            context.exchange.leave_out(candidate.model, f"skipped: {ended.refusal.reason}")
        if ended.failure is None:
            continue
        if not ended.failure.rule.falls_back:
            break
        past_rate = past_rate or ended.failure.rests_all
    error = verdict(fates, _shut_for_s(context, chain))
    if context.client.is_open:
        # Our keep-alive has fixed the status, so the error is the stream's one event.
        await context.client.stop_keep_alive()
        context.exchange.finish("failed", 200, error.type)
        raise await context.client.cut(error.body())
    raise error


def _shut_for_s(context: Context, chain: tuple[Candidate, ...]) -> float | None:
    """Return when the first candidate lets somebody in again; None if one does so already."""
    able = [candidate.model for candidate in chain if candidate.left_out is None]
    refusals = [refusal for model in able if (refusal := context.breakers.peek(model))]
    if not refusals or len(refusals) < len(able):
        return None
    return min(refusal.retry_after_s for refusal in refusals)


async def _ask(
    context: Context,
    candidate: Candidate,
    chain_ends: float,
    later: tuple[Candidate, ...],
    *,
    past_rate: bool = False,
    on_new_connection: bool = False,
) -> Fate | None:
    """Call a candidate if its breaker lets us; again at once if a pooled connection had died.

    None means that it has answered.
    """
    admitted = context.breakers.admit(candidate.model, context.exchange.id, past_rate=past_rate)
    if not isinstance(admitted, Permit):
        if isinstance(admitted, ProbeDue):
            admitted = await admitted.claimed()
        if isinstance(admitted, Refusal):
            return Fate(candidate, refusal=admitted)
    kind: type[Call] = StreamCall if context.body.is_stream else PlainCall
    call = kind(context, candidate.model, admitted, on_new_connection=on_new_connection)
    try:
        failure = await call.run(chain_ends, later)
    except ClientGone:
        call.abandoned()
        raise
    except asyncio.CancelledError:
        if not _is_our_doing(context):
            call.abandoned()
            raise
        failure = Failure(FailureClass.DRAINING, "The router is shutting down.")
        failure = await call.broke(failure)
    finally:
        call.close()
    if failure is None:
        return None
    if failure.kind is FailureClass.STALE_CONNECTION and not on_new_connection:
        return await _ask(
            context, candidate, chain_ends, later, past_rate=past_rate, on_new_connection=True
        )
    return Fate(candidate, failure=failure)


def _is_our_doing(context: Context) -> bool:
    """Whether a cancellation is the shutdown's, which ends the call but not the request's task."""
    task = asyncio.current_task()
    if not context.exchange.is_cut or task is None:
        return False
    task.uncancel()
    return True


def _early_headers(context: Context) -> Mapping[str, str]:
    """Return the facts that are settled before any model has answered."""
    unsettled = ("x-router-model", "x-router-attempts")
    return {k: v for k, v in context.exchange.headers().items() if k not in unsettled}
