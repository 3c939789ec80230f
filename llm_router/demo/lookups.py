"""The GET endpoints of the demo upstream: models, generation, key, credits."""

from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from llm_router.demo import refusals
from llm_router.demo.behaviour import HEALTHY
from llm_router.demo.generations import Generations
from llm_router.demo.models import ModelList
from llm_router.demo.refusals import Refused
from llm_router.demo.script import Script
from llm_router.demo.wire import Wire


@dataclass(frozen=True, slots=True)
class Lookups:
    """Orders for a path apply: `fail("/models", status=500)`, `fail("/models", text="[]")`."""

    script: Script
    models: ModelList
    generations: Generations
    api_key: str | None

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "/models", self.models.listing(), needs_key=False)

    async def generation(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("id", "")
        found = self.generations.poll(wanted)
        missing = None if found else Refused(404, f"Generation {wanted} not found")
        return await self._answer(request, "/generation", {"data": found}, missing)

    async def key(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "/key", {"data": _KEY})

    async def credits(self, request: web.Request) -> web.StreamResponse:
        refused = Refused(403, "Only management keys can fetch credits")
        return await self._answer(request, "/credits", None, refused)

    async def nothing(self, request: web.Request) -> web.StreamResponse:
        refused = Refused(404, "The demo upstream has no such route")
        return await self._answer(request, request.path, None, refused, needs_key=False)

    async def _answer(
        self,
        request: web.Request,
        path: str,
        facts: Any,
        refused: Refused | None = None,
        *,
        needs_key: bool = True,
    ) -> web.StreamResponse:
        call = self.script.record(request, await request.read())
        with self.script.watching(call):
            try:
                if needs_key:
                    refusals.authorize(request, self.api_key)
            except Refused as exc:
                wire = Wire(request, self.script, call, HEALTHY)
                return await wire.plain(exc.body(), status=exc.status)
            how = self.script.behaviour(path, by_name_only=True)
            wire = Wire(request, self.script, call, how)
            if how.html:
                return await wire.page()
            if how.text is not None:
                return await wire.plain(how.text.encode(), status=how.status or 200)
            if how.status is not None:
                error = refusals.body(how.status, how, path, "OpenRouter")
                return await wire.plain(error, status=how.status, headers=refusals.headers(how))
            if refused is not None:
                return await wire.plain(refused.body(), status=refused.status)
            return await wire.plain(msgspec.json.encode(facts))


_KEY = {
    "label": "sk-or-v1-demo...demo",
    "limit": None,
    "limit_remaining": None,
    "limit_reset": None,
    "usage": 0,
    "usage_daily": 0,
    "usage_weekly": 0,
    "usage_monthly": 0,
    "byok_usage": 0,
    "include_byok_in_limit": False,
    "is_free_tier": False,
    "is_management_key": False,
    "is_provisioning_key": False,
    "expires_at": None,
    "creator_user_id": None,
    "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
}
