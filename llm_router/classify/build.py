"""Puts a mode's classifier together."""

from collections.abc import Callable
from functools import partial

import aiohttp

from llm_router.classify.api import ApiStep
from llm_router.classify.base import Judge, Step
from llm_router.classify.cache import DecisionCache
from llm_router.classify.hybrid import HybridClassifier
from llm_router.classify.ollama import OllamaStep
from llm_router.clock import Clock
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.config import ConfigHolder
from llm_router.settings import Mode, Settings
from llm_router.upstream.client import UpstreamClient


def build_classifier(
    settings: Settings,
    clock: Clock,
    ollama_session: aiohttp.ClientSession,
    upstream: UpstreamClient,
    catalog: CatalogHolder,
    config: ConfigHolder,
    is_shut: Callable[[str], bool],
    *,
    cache: DecisionCache | None = None,
) -> HybridClassifier:
    """Return the classifier of `settings.classifier.mode`; call `start()` before, `close()` after.

    `is_shut` says that a model, or the whole provider, must not be called now. `ollama_session`
    is not the provider's: that one may go through a proxy. `cache` is where decisions are
    remembered, one of the classifier's own unless given.
    """
    mode = settings.classifier.mode
    steps: list[Step] = []
    if mode in ("ollama", "hybrid"):
        steps.append(OllamaStep(ollama_session, settings.ollama.base_url, settings.ollama.model))
    if mode in ("api", "hybrid"):
        model = settings.classifier.api_model
        steps.append(ApiStep(upstream, catalog, config, model, clock, is_shut))
    return HybridClassifier(
        settings.classifier,
        steps,
        clock,
        partial(judge_of, mode),
        asks_first=mode != "hybrid",
        cache=cache,
    )


def judge_of(mode: Mode) -> Judge:
    """Return what decides at once in a mode, and is the best guess where other steps fail.

    It is imported here, with all its patterns: a start need not wait for that.
    """
    if mode == "keywords":
        from llm_router.classify.keywords import Keywords

        return Keywords()
    from llm_router.classify.local import Local

    return Local()
