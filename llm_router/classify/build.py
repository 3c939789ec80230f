"""Puts a mode's classifier together."""

from collections.abc import Callable

import aiohttp

from llm_router.classify.api import ApiStep
from llm_router.classify.base import Step
from llm_router.classify.cache import DecisionCache
from llm_router.classify.hybrid import HybridClassifier
from llm_router.classify.ollama import OllamaStep
from llm_router.clock import Clock
from llm_router.errors import SettingsError
from llm_router.routing.catalog import CatalogHolder
from llm_router.routing.config import ConfigHolder
from llm_router.settings import Settings
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
    if mode == "local":
        raise SettingsError(
            "[classifier] mode: local is not available in this version; "
            "choose keywords, ollama, api or hybrid"
        )
    steps: list[Step] = []
    if mode in ("ollama", "hybrid"):
        steps.append(OllamaStep(ollama_session, settings.ollama.base_url, settings.ollama.model))
    if mode in ("api", "hybrid"):
        model = settings.classifier.api_model
        steps.append(ApiStep(upstream, catalog, config, model, clock, is_shut))
    return HybridClassifier(
        settings.classifier, steps, clock, asks_first=mode != "hybrid", cache=cache
    )
