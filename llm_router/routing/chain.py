"""From a category's models to the candidates of one request, best first.

A candidate that cannot serve the request stays in the chain with the rule that left it out, so
that an error or an explanation can say which rule removed which.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from llm_router.routing.catalog import Catalog, ModelInfo
from llm_router.routing.config import RoutingConfig

GONE = "gone: not in OpenRouter's model list"

# What a JSON schema in `response_format` takes. A model that lists `response_format` alone writes
# JSON of any shape. https://openrouter.ai/docs/features/structured-outputs
_STRUCTURED = "structured_outputs"
_NO_LIMIT = float("inf")
# As a key: a message may well say "image_url", and no string is followed by a colon.
_IMAGE = re.compile(rb'"image_url"[ \t\r\n]*:')


class Needs(Struct, gc=False):
    """What a request asks of a model. `prompt_tokens` is a low estimate, by length alone.

    `messages` are searched only when a candidate might be left out for it, and once: a search
    through a long session costs as much as parsing it.
    """

    prompt_tokens: int
    max_tokens: int | None = None
    tools: bool = False
    structured_output: bool = False
    messages: bytes = b""
    _images: bool | None = None
    _least: int | None = None

    def images(self) -> bool:
        if self._images is None:
            self._images = _IMAGE.search(self.messages) is not None
        return self._images

    def least_tokens(self) -> int:
        """Return the estimate without the length of escapes.

        Some clients escape whatever is not ASCII: six bytes for a character of two or three, and
        of less than a token.
        """
        if self._least is None:
            escapes = self.messages.count(b"\\u")
            self._least = max(0, self.prompt_tokens - escapes * 2 // 3)
        return self._least


class Candidate(Struct, frozen=True, gc=False):
    """`name` is what the configuration or the client says, `model` the full id."""

    name: str
    model: str
    left_out: str | None = None


class Lineup:
    """The models of a chain, each once and in order, before a request asks anything of them.

    A configured model that the provider no longer lists is left out, unless `keep_gone`: a model
    that a client names is tried whatever the list says.
    """

    def __init__(
        self,
        models: Sequence[str],
        config: RoutingConfig,
        catalog: Catalog,
        *,
        keep_gone: bool = False,
    ) -> None:
        named: dict[str, str] = {}
        for name in models:
            named.setdefault(config.model_id(name), name)
        self._candidates = tuple(
            Candidate(name, model, GONE if not keep_gone and catalog.is_gone(model) else None)
            for model, name in named.items()
        )
        self._infos = tuple(map(catalog.get, named))
        # What all of them take, so that a request which asks for no more is compared only once.
        known = [info for info in self._infos if info is not None]
        contexts = [info.context_length for info in known if info.context_length is not None]
        self._takes_tokens = min(contexts, default=_NO_LIMIT)
        self._takes_tools = not any(_lacks(info, "tools") for info in known)
        self._takes_schema = not any(_lacks(info, _STRUCTURED) for info in known)
        self._takes_images = not any(map(_is_blind, known))

    def chain(self, needs: Needs) -> tuple[Candidate, ...]:
        """Return the candidates, those that cannot serve the request marked.

        What the list leaves open is no reason.
        """
        if (
            needs.prompt_tokens + (needs.max_tokens or 0) <= self._takes_tokens
            and (self._takes_tools or not needs.tools)
            and (self._takes_schema or not needs.structured_output)
            and (self._takes_images or not needs.images())
        ):
            return self._candidates
        return tuple(
            candidate
            if info is None or (rule := _incapable(info, needs)) is None
            else Candidate(candidate.name, candidate.model, rule)
            for candidate, info in zip(self._candidates, self._infos, strict=True)
        )


class Lineups:
    """Keeps every lineup that is asked for until configuration or model list are replaced."""

    def __init__(self) -> None:
        self._config: RoutingConfig | None = None
        self._catalog: Catalog | None = None
        self._kept: dict[tuple[str, ...], Lineup] = {}

    def of(self, models: tuple[str, ...], config: RoutingConfig, catalog: Catalog) -> Lineup:
        if config is not self._config or catalog is not self._catalog:
            self._config, self._catalog, self._kept = config, catalog, {}
        lineup = self._kept.get(models)
        if lineup is None:
            lineup = self._kept[models] = Lineup(models, config, catalog)
        return lineup


def _incapable(info: ModelInfo, needs: Needs) -> str | None:
    """Return the first rule by which a model cannot serve the request."""
    answer, context = needs.max_tokens or 0, info.context_length
    if context is not None and needs.prompt_tokens + answer > context:
        tokens = needs.least_tokens() + answer
        if tokens > context:
            return f"context: needs about {tokens} tokens, takes {context}"
    if needs.tools and _lacks(info, "tools"):
        return "tools"
    if _is_blind(info) and needs.images():
        return "images"
    if needs.structured_output and _lacks(info, _STRUCTURED):
        return "structured output"
    return None


def _lacks(info: ModelInfo, parameter: str) -> bool:
    return bool(info.supported_parameters) and parameter not in info.supported_parameters


def _is_blind(info: ModelInfo) -> bool:
    return bool(info.input_modalities) and "image" not in info.input_modalities
