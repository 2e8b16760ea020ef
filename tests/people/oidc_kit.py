"""Providers of OpenID Connect on this machine: a certified one, and one that lies."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / ".clients" / "oidc" / "node_modules"
SCRIPT = Path(__file__).parent / "oidc_provider" / "provider.mjs"
SECRET = "a secret of the client, of 32 bytes or more"


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


class Certified:
    """A running certified provider."""

    def __init__(self, issuer: str, process: subprocess.Popen[str]) -> None:
        self.issuer = issuer
        self._process = process

    def await_line(self, wanted: str) -> None:
        """Wait until it has said something."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if wanted in line:
                return
        raise AssertionError(self._process.stderr and self._process.stderr.read())

    def put_in(self, name: str, *groups: str) -> None:
        """Say which groups somebody is in."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {','.join(groups)}\n")
        self._process.stdin.flush()
        self.await_line("known")


@contextmanager
def certified_provider(console_url: str, port: int) -> Iterator[Certified]:
    """Run the certified provider for one console."""
    node = shutil.which("node")
    assert node is not None, "Node.js is needed: tools/setup_clients.sh"
    assert MODULES.is_dir(), "run tools/setup_clients.sh"
    issuer = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [node, str(SCRIPT), str(MODULES), issuer, f"{console_url}/login/oidc/callback",
         f"{console_url}/login"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        running = Certified(issuer, process)
        running.await_line("listening")
        yield running
    finally:
        process.kill()
        process.communicate()


class Liar:
    """A provider whose every answer can be bent."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one"})
        self.published: list[Any] = [self.key]
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.signed_with: Any = None
        self.raw_token: str | None = None
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None
        self.issuer = ""
        self.nonce = ""

    def good_claims(self) -> dict[str, Any]:
        """Return the claims of an honest provider."""
        now_s = clock.unix_ns() // clock.NS_PER_S
        return {
            "iss": self.issuer, "aud": "tollbook", "sub": "alice", "nonce": self.nonce,
            "iat": now_s, "exp": now_s + 300, "email": "alice@example.org",
            "email_verified": True, "groups": ["staff"],
        }  # fmt: skip

    def id_token(self) -> str:
        """Return the ID token that it gives now."""
        if self.raw_token is not None:
            return self.raw_token
        claims = {
            name: value
            for name, value in (self.good_claims() | self.claims).items()
            if value is not None
        }
        key = self.signed_with or self.key
        algorithms = [self.header["alg"]]
        return jwt.encode(self.header, claims, key, algorithms=algorithms)

    def answer(self, path: str) -> dict[str, Any]:
        """Return what it says at a path."""
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **({"userinfo_endpoint": f"{self.issuer}/me"} if self.userinfo is not None else {}),
                **self.metadata,
            }
        if path == "/keys":
            return dict(KeySet(self.published).as_dict(private=False))
        if path == "/token":
            return {"id_token": self.id_token(), "access_token": "at", "token_type": "Bearer"}
        assert path == "/me", path
        return self.userinfo or {}


@contextmanager
def liar() -> Iterator[Liar]:
    """Serve a provider that lies."""
    bent = Liar()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._say()

        def do_POST(self) -> None:
            self._say()

        def _say(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = parse_qs(self.rfile.read(length).decode())
            bent.asked.append(
                (self.path, body | {"authorization": [self.headers.get("authorization", "")]})
            )
            content = json.dumps(bent.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bent.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield bent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def shared_secret_key() -> OctKey:
    """Return a key for signatures with a shared secret."""
    return OctKey.import_key("x" * 64)
