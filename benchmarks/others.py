"""Other people's proxies: what they have to be told to do nothing but pass chats on."""

from collections.abc import Callable, Mapping
from pathlib import Path

# (its folder, the upstream, the address to listen on) -> its arguments, its environment
Order = Callable[[Path, str, str], tuple[tuple[str, ...], Mapping[str, str]]]

# With TLS it does not look at the certificate, which matters once a connection.
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
      proxy_pass {scheme}://provider/api/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""

# One model, no key, no database, nothing but errors logged: the least that it can do.
_LITELLM = """\
model_list:
  - model_name: router
    litellm_params:
      model: openai/z-ai/glm-5
      api_base: {upstream}/api/v1
      api_key: benchmark
"""
_LITELLM_ENVIRON = {
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # nothing is fetched from anywhere
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",  # reads no .env
}


def nginx(folder: Path, upstream: str, address: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    scheme, _, place = upstream.partition("://")
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, scheme=scheme, upstream=place, address=address))
    return ("-p", str(folder), "-c", str(config)), {}


def litellm(folder: Path, upstream: str, address: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    config = folder / "litellm.yaml"
    config.write_text(_LITELLM.format(upstream=upstream))
    host, _, port = address.rpartition(":")
    place = ("--config", str(config), "--host", host, "--port", port)
    return (*place, "--num_workers", "1", "--telemetry", "False"), _LITELLM_ENVIRON
