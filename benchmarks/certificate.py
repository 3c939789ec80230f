"""A certificate for 127.0.0.1 that nobody has signed, made anew for every run."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Failed

_ASK = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    " -addext subjectAltName=IP:127.0.0.1,DNS:localhost"
    " -addext keyUsage=critical,digitalSignature,keyCertSign"
    " -keyout key.pem -out certificate.pem"
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """`both` is for the server, `public` for whoever shall trust it."""

    both: Path
    public: Path


def make_certificate(openssl: str, folder: Path) -> Certificate:
    """Raises Failed where this openssl cannot."""
    try:
        subprocess.run((openssl, *_ASK.split()), cwd=folder, capture_output=True, check=True)
    except subprocess.CalledProcessError as exc:
        raise Failed(f"no certificate: {exc.stderr.decode(errors='replace')}") from exc
    public, both = folder / "certificate.pem", folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + public.read_text())
    return Certificate(both, public)
