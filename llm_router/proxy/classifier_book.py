"""How a classifier books its calls in the request that asked it."""

from llm_router.classify.base import FinishedCall
from llm_router.proxy.attempt import Attempt
from llm_router.proxy.exchange import Exchange
from llm_router.proxy.facts import Facts


class ClassifierBook:
    """Lets a classifier book its calls in the same request, without knowing the journal."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._open: dict[str, Attempt] = {}

    def attempt_started(self, model: str) -> str:
        attempt = self._exchange.attempt("classifier", model)
        self._open[attempt.id] = attempt
        return attempt.id

    def attempt_finished(self, attempt_id: str, call: FinishedCall) -> None:
        self._exchange.attempt_over(
            self._open.pop(attempt_id),
            call.outcome,
            call.cost,
            Facts(call.usage, call.cost, call.served_model, call.provider, call.generation_id),
            http_status=call.http_status,
            error_class=call.error_class,
            note=call.note,
        )
