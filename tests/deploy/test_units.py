"""The systemd units: what they forbid, and that systemd understands them."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llm_router import serving
from llm_router.settings import ServerSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICE, SOCKET = DEPLOY / "llm-router.service", DEPLOY / "llm-router.socket"
MOST_EXPOSED = 15  # tenths; systemd's own services have 20 to 96

REQUIRED = {
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "DynamicUser": "yes",
    "LimitCORE": "0",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "StateDirectoryMode": "0700",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}

with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def section(unit: Path, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read(unit)
    return dict(parser[name])


def analysed(*arguments: str) -> str:
    """Return what systemd has to say; it must be content."""
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_service_has_no_right_that_it_does_not_need() -> None:
    """T47"""
    service = section(SERVICE, "Service")
    assert {name: service.get(name) for name in REQUIRED} == REQUIRED


def test_it_starts_isolated_and_its_keys_are_no_arguments() -> None:
    """T38 T39 T46: they come as a credential, which no other process can read."""
    service = section(SERVICE, "Service")
    assert service["ExecStart"].split()[1:] == (
        ["-I", "-m", "llm_router", "serve", "--env-file", "%d/env"]
    )
    assert service["LoadCredential"].startswith("env:/etc/")
    assert not {"Environment", "EnvironmentFile", "User"} & service.keys()


def test_a_stop_waits_for_streams_that_finish() -> None:
    """F66"""
    service = section(SERVICE, "Service")
    server = ServerSettings()
    assert float(service["TimeoutStopSec"]) >= server.drain_s + serving.SETTLE_S + serving.CUT_S
    assert service["KillMode"] == "mixed"
    assert "KillSignal" not in service, "SIGTERM is what it drains for"


def test_the_socket_is_at_the_default_address() -> None:
    server = ServerSettings()
    listen = section(SOCKET, "Socket")["ListenStream"]
    assert listen == f"{server.host}:{server.port}"
    assert SOCKET.stem == SERVICE.stem, "which is how systemd finds the one for the other"


@with_systemd
def test_systemd_understands_both(tmp_path: Path) -> None:
    """T47"""
    text = SERVICE.read_text().replace("/opt/llm-router/bin/python", sys.executable)
    (tmp_path / SERVICE.name).write_text(text)
    (tmp_path / SOCKET.name).write_text(SOCKET.read_text())
    said = analysed("verify", *(str(tmp_path / unit.name) for unit in (SERVICE, SOCKET)))
    assert "llm-router" not in said


@with_systemd
def test_systemd_finds_little_exposed() -> None:
    """T47"""
    analysed("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", str(SERVICE))
