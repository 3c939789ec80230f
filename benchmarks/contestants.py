"""How each contestant is started in front of the fake upstream."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import others
from benchmarks.certificate import Certificate, make_certificate
from benchmarks.entrants import ALONE, WORKERS, Entrant, Tools
from benchmarks.processes import Cores, Failed, Processes, Program, free_address, python

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Contestant:
    """`pid` is None where no program is in between, `ledger` where nothing is booked."""

    entrant: Entrant
    url: str
    pid: int | None
    ledger: Path | None = None

    @property
    def name(self) -> str:
        return self.entrant.name


class Stage:
    """The fake upstream, and the contestants that are started in front of it."""

    def __init__(
        self, processes: Processes, cores: Cores | None, folder: Path, tools: Tools
    ) -> None:
        self._processes = processes
        self._folder = folder
        self._tools = tools
        self._core = cores.tested if cores else None
        self._behind = cores.upstream if cores else None
        self._upstreams: dict[bool, str] = {}
        self._certificate: Certificate | None = None
        self._demo: Program | None = None

    def start(self, entrant: Entrant) -> Contestant:
        upstream = self._upstream(is_tls=entrant.is_tls)
        match entrant.kind:
            case "direct":
                return Contestant(entrant, f"{upstream}/api{CHAT}", None)
            case "pass-through":
                command = python("benchmarks.passthrough", f"{upstream}/api{CHAT}")
                return self._in_front(entrant, command)
            case "nginx":
                return self._listening(entrant, self._tools.nginx, upstream, others.nginx)
            case "LiteLLM":
                return self._listening(entrant, self._tools.litellm, upstream, others.litellm)
            case _:
                return self._router(entrant, upstream)

    def _upstream(self, *, is_tls: bool) -> str:
        if is_tls not in self._upstreams:
            command = python("benchmarks.upstream")
            if is_tls:
                command += ("--tls", str(self._certified().both))
            self._upstreams[is_tls] = self._processes.start(command, self._behind).url
        return self._upstreams[is_tls]

    def _certified(self) -> Certificate:
        if self._certificate is None:
            if self._tools.openssl is None:
                raise Failed("there is no openssl to make a certificate with")
            self._certificate = make_certificate(self._tools.openssl, self._folder)
        return self._certificate

    def _trusting(self, entrant: Entrant) -> dict[str, str]:
        return {"SSL_CERT_FILE": str(self._certified().public)} if entrant.is_tls else {}

    def _in_front(self, entrant: Entrant, command: tuple[str, ...]) -> Contestant:
        environ = self._trusting(entrant)
        program = self._processes.start(command, self._core, environ=environ)
        return Contestant(entrant, program.url + CHAT, program.pid)

    def _listening(
        self, entrant: Entrant, command: str | None, upstream: str, order: others.Order
    ) -> Contestant:
        """Start somebody else's program, which is told where to listen and does not say so."""
        if command is None:
            raise Failed(f"{entrant.name} is not here")
        folder = Path(tempfile.mkdtemp(prefix="other-", dir=self._folder))
        address = free_address()
        arguments, environ = order(folder, upstream, address)
        program = self._processes.start(
            (command, *arguments),
            self._core,
            environ={**environ, **self._trusting(entrant)},
            folder=folder,
            url=f"http://{address}",
        )
        return Contestant(entrant, program.url + CHAT, program.pid)

    def _router(self, entrant: Entrant, upstream: str) -> Contestant:
        """Start the router in an empty folder, with its defaults but for the mode."""
        folder = Path(tempfile.mkdtemp(prefix="router-", dir=self._folder))
        environ = {
            "OPENROUTER_API_KEY": "benchmark",
            "OPENROUTER_BASE_URL": f"{upstream}/api/v1",
            "OLLAMA_BASE_URL": self._ollama(),
            "ROUTER_PORT": "0",
            "ROUTING_MODE": entrant.kind,
            **self._trusting(entrant),
        }
        if entrant.kind == WORKERS.kind:
            environ |= {"ROUTING_MODE": ALONE.kind, "LLM_ROUTER_SERVER__WORKERS": "2"}
        command = python("llm_router" if entrant.has_ledger else "benchmarks.no_ledger", "serve")
        program = self._processes.start(command, self._core, environ=environ, folder=folder)
        ledger = folder / "router.db" if entrant.has_ledger else None
        return Contestant(entrant, program.url + CHAT, program.pid, ledger)

    def _ollama(self) -> str:
        if self._demo is None:
            command = python("llm_router", "demo-upstream", "--port", "0")
            self._demo = self._processes.start(command, self._behind, folder=self._folder)
        return self._demo.urls[1]
