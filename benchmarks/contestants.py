"""What is compared, and how each is started in front of the fake upstream."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.processes import Cores, Processes, Program, free_address, python

Name = Literal[
    "direct",
    "pass-through",
    "nginx",
    "2 workers",
    "keywords",
    "local",
    "hybrid",
    "ollama",
    "api",
]

CHAT = "/v1/chat/completions"
FLOOR: Name = "pass-through"
# The router goes by the mode of its classifier.
MODES: tuple[Name, ...] = ("keywords", "local", "hybrid", "ollama", "api")
ALONE: Name = "keywords"
WORKERS: Name = "2 workers"  # in the same mode

_NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream provider {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://provider/api/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """`pid` is None where no program is in between."""

    name: Name
    url: str
    pid: int | None
    ledger: Path | None = None


class Stage:
    """The fake upstream, and the contestants that are started in front of it."""

    def __init__(self, processes: Processes, cores: Cores | None, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._core = cores.tested if cores else None
        self._behind = cores.upstream if cores else None
        self._upstream = processes.start(python("benchmarks.upstream"), self._behind).url
        self._demo: Program | None = None

    def start(self, name: Name) -> Contestant:
        if name == "direct":
            return Contestant(name, f"{self._upstream}/api{CHAT}", None)
        if name == "nginx":
            return self._nginx()
        if name == FLOOR:
            command = python("benchmarks.passthrough", f"{self._upstream}/api{CHAT}")
            program = self._processes.start(command, self._core)
            return Contestant(name, program.url + CHAT, program.pid)
        return self._router(name)

    def _router(self, name: Name) -> Contestant:
        """Start the router in an empty folder, with its defaults but for the mode."""
        folder = Path(tempfile.mkdtemp(prefix="router-", dir=self._folder))
        environ = {
            "OPENROUTER_API_KEY": "benchmark",
            "OPENROUTER_BASE_URL": f"{self._upstream}/api/v1",
            "OLLAMA_BASE_URL": self._ollama(),
            "ROUTER_PORT": "0",
            "ROUTING_MODE": name,
        }
        if name == WORKERS:
            environ |= {"ROUTING_MODE": ALONE, "LLM_ROUTER_SERVER__WORKERS": "2"}
        command = python("llm_router", "serve")
        program = self._processes.start(command, self._core, environ=environ, folder=folder)
        return Contestant(name, program.url + CHAT, program.pid, folder / "router.db")

    def _ollama(self) -> str:
        if self._demo is None:
            command = python("llm_router", "demo-upstream", "--port", "0")
            self._demo = self._processes.start(command, self._behind, folder=self._folder)
        return self._demo.urls[1]

    def _nginx(self) -> Contestant:
        folder = Path(tempfile.mkdtemp(prefix="nginx-", dir=self._folder))
        address = free_address()
        upstream = self._upstream.removeprefix("http://")
        config = folder / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, upstream=upstream, address=address))
        program = self._processes.start(
            (_nginx() or "nginx", "-p", str(folder), "-c", str(config)),
            self._core,
            url=f"http://{address}",
        )
        return Contestant("nginx", program.url + CHAT, program.pid)


def present(names: tuple[Name, ...]) -> tuple[Name, ...]:
    """Return those of the names that can run here."""
    return tuple(name for name in names if name != "nginx" or _nginx())


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
