"""How a classifier books its calls in the request that asked it."""

from llm_router.ledger.entry import Cost, Outcome, Usage
from llm_router.proxy.exchange import Attempt, Exchange
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

    def attempt_finished(
        self,
        attempt_id: str,
        *,
        outcome: Outcome,
        http_status: int | None,
        error_class: str | None,
        served_model: str | None,
        provider: str | None,
        generation_id: str | None,
        usage: Usage,
        cost: Cost,
        note: str | None = None,
    ) -> None:
        facts = Facts(usage, cost, served_model, provider, generation_id)
        self._exchange.attempt_over(
            self._open.pop(attempt_id),
            outcome,
            cost,
            facts,
            http_status=http_status,
            error_class=error_class,
            note=note,
        )
