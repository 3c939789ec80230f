"""From a category's models to the candidates of one request, best first.

A candidate that cannot serve the request stays in the chain with the rule that left it out, so
that an error or an explanation can say which rule removed which.
"""

from collections.abc import Sequence

from msgspec import Struct

from llm_router.routing.catalog import Catalog, ModelInfo
from llm_router.routing.config import RoutingConfig

GONE = "gone: not in OpenRouter's model list"

# What a JSON schema in `response_format` takes. A model that lists `response_format` alone writes
# JSON of any shape. https://openrouter.ai/docs/features/structured-outputs
_STRUCTURED = "structured_outputs"


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
            self._images = b'"image_url"' in self.messages
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


def build_chain(
    models: Sequence[str],
    config: RoutingConfig,
    catalog: Catalog,
    needs: Needs,
    *,
    keep_gone: bool = False,
) -> tuple[Candidate, ...]:
    """Return every model once, in order, those that cannot serve the request marked.

    A configured model that the provider no longer lists is left out, unless `keep_gone`: a model
    that a client names is tried whatever the list says. What the list leaves open is no reason.
    """
    chain: dict[str, Candidate] = {}
    aliases = config.aliases
    for name in models:
        model = aliases.get(name, name)
        if model in chain:
            continue
        info = catalog.get(model)
        if info is not None:
            left_out = _incapable(info, needs)
        else:
            left_out = GONE if not keep_gone and catalog.is_gone(model) else None
        chain[model] = Candidate(name, model, left_out)
    return tuple(chain.values())


def _incapable(info: ModelInfo, needs: Needs) -> str | None:
    """Return the first rule by which a model cannot serve the request."""
    answer, context = needs.max_tokens or 0, info.context_length
    if context is not None and needs.prompt_tokens + answer > context:
        tokens = needs.least_tokens() + answer
        if tokens > context:
            return f"context: needs about {tokens} tokens, takes {context}"
    parameters = info.supported_parameters
    if needs.tools and parameters and "tools" not in parameters:
        return "tools"
    if info.input_modalities and "image" not in info.input_modalities and needs.images():
        return "images"
    if needs.structured_output and parameters and _STRUCTURED not in parameters:
        return "structured output"
    return None
