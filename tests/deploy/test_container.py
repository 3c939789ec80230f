"""The container image, as far as it can be read without building it."""

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"
RUN_LINE_OPTIONS = {
    "--read-only": None,
    "--cap-drop": "ALL",
    "--security-opt": "no-new-privileges",
    "--pids-limit": "128",
}


def instructions() -> list[tuple[str, str]]:
    """Return the file's instructions and their arguments, comments left out."""
    text = re.sub(r"\\\n", "", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    last = max(n for n, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def test_it_runs_as_nobody_in_particular() -> None:
    """T47: and as a number, so that Kubernetes can see that it is not root's."""
    names = [name for name, _ in final_stage()]
    users = [argument for name, argument in final_stage() if name == "USER"]
    assert users == ["65532:65532"]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


def test_its_code_belongs_to_root_and_its_data_to_itself() -> None:
    """T47: what runs cannot change what it runs."""
    owners = {
        argument.split()[-1]: re.findall(r"--chown=(\S+)", argument)
        for name, argument in final_stage()
        if name == "COPY"
    }
    assert owners == {"/opt/llm-router": ["0:0"], "/data": ["65532:65532"]}
    assert ("VOLUME", "/data") in final_stage()


def test_no_shell_is_needed() -> None:
    """T47"""
    for name, argument in instructions():
        if name in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"):
            command = argument[argument.index("[") :]
            assert all(isinstance(word, str) for word in json.loads(command)), (name, argument)
            assert not {"sh", "bash", "-c"} & set(json.loads(command)) - {"-c"}


def test_it_starts_isolated() -> None:
    """T46: neither the working directory nor the environment decides what is imported."""
    [entry] = [json.loads(argument) for name, argument in instructions() if name == "ENTRYPOINT"]
    assert entry == ["/opt/llm-router/bin/python", "-I", "-B", "-m", "llm_router"]


def test_it_installs_nothing_but_what_is_pinned() -> None:
    """T45"""
    installs = [
        json.loads(argument)
        for name, argument in instructions()
        if name == "RUN" and '"install"' in argument
    ]
    assert len(installs) == 2
    locked, ours = installs
    assert {"--require-hashes", "--only-binary", "requirements.lock"} <= set(locked)
    assert {"--no-deps", "--no-build-isolation"} <= set(ours)
    assert not [name for name, _ in instructions() if name == "ADD"]


def test_no_secret_is_baked_in() -> None:
    """T10"""
    for name, argument in instructions():
        if name in ("ENV", "ARG"):
            assert not re.search(r"(?i)key|secret|token|password", argument)
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    for forbidden in (".env", "router.db", "config.toml", ".git", ".venv"):
        assert not any(fnmatch(forbidden, pattern) for pattern in allowed)


def test_what_is_copied_exists_and_is_sent_along() -> None:
    allowed = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text()
    sources = [
        source
        for name, argument in instructions()
        if name == "COPY" and "--from" not in argument
        for source in argument.split()[:-1]
    ]
    assert "llm_router" in sources
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert f"\n!{source}\n" in allowed


@pytest.mark.parametrize("file", ["deploy/Dockerfile", "docs/deploy.md"])
def test_the_documented_run_takes_every_right_away(file: str) -> None:
    """T47"""
    text = re.sub(r"\\\n#?", " ", (REPOSITORY / file).read_text())
    [line] = re.findall(r"docker run [^\n]*", text)
    words = shlex.split(line)
    for option, value in RUN_LINE_OPTIONS.items():
        assert option in words
        if value is not None:
            assert words[words.index(option) + 1] == value
    assert "--privileged" not in words
    published = words[words.index("-p") + 1]
    assert published.startswith("127.0.0.1:"), "not for everybody before there is TLS in front"
