"""nginx as the peer: a reverse proxy with one worker that does what the gateway does to bytes."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from bench import machine
from bench.procs import BenchError

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from bench.procs import Processes

# Bodies are read whole before they leave (as the gateway must) and stay in memory; plain answers
# are buffered in memory, streams are passed on at once; upstream connections are kept.
_CONFIG = """
daemon off;
master_process off;
worker_rlimit_nofile 20000;
pid {work}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; multi_accept on; use epoll; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 75s;
  tcp_nodelay on;
  client_body_buffer_size 128k;
  client_max_body_size 64m;
  proxy_buffer_size 8k;
  proxy_buffers 8 8k;
  proxy_busy_buffers_size 16k;
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi;
  scgi_temp_path {work}/scgi;
  upstream provider {{
    server 127.0.0.1:{upstream_port};
    keepalive 4096;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location / {{ proxy_pass http://provider; }}
    location /stream/ {{ proxy_pass http://provider; proxy_buffering off; }}
    location /trickle/ {{ proxy_pass http://provider; proxy_buffering off; }}
  }}
}}
"""


def start_nginx(
    processes: Processes, work: Path, upstream_port: int
) -> tuple[subprocess.Popen[bytes], int] | None:
    """Start nginx on the proxy core; return it with its port, or None where it is not installed.

    Raises:
        BenchError: it is there and does not start.
    """
    program = machine.find_program("nginx")
    if program is None:
        return None
    work.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = work / "nginx.conf"
    config.write_text(_CONFIG.format(work=work, port=port, upstream_port=upstream_port))
    process = processes.start(
        [program, "-p", str(work), "-e", "stderr", "-c", str(config)],
        core=machine.PROXY_CORE,
        stdin=None,
    )
    wait_for_port(port, "nginx")
    return process, port


def free_port() -> int:
    """Return a port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, what: str, attempts: int = 200) -> None:
    """Wait until a port accepts connections.

    Raises:
        BenchError: it did not within about ten seconds.
    """
    for _ in range(attempts):
        with socket.socket() as probe:
            probe.settimeout(0.05)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError(f"{what} does not listen on port {port}")
