"""Checks before every request of the address service: the key, the size of the body, the rate, and the number of requests in progress.

Written as plain ASGI, because middleware that wraps request and response objects costs more than most answers.
"""

from __future__ import annotations

import hmac
import json
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.messages import SanyuError, catalogue

OPEN_PATHS = frozenset({"/health", "/docs", "/openapi.json"})
CLIENTS = 10_000  # clients with a bucket; the one not seen for longest is dropped first


@dataclass(frozen=True)
class Limits:
    """Per call: `addresses`, `body_bytes`. Per client: `per_second` on average, `burst` at once. In total: `at_work` requests."""

    addresses: int = 1000
    body_bytes: int = 2 << 20
    per_second: float = 200.0
    burst: int = 400
    at_work: int = 64


class Guard:
    """Refuses requests that have no key, are too large or come too often, before reading any more of them."""

    def __init__(self, app: ASGIApp, key: str | None, limits: Limits) -> None:
        self.app = app
        self.key = None if key is None else key.encode()
        self.limits = limits
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        body = None if refused else await self._body(receive)
        if refused is None and body is None:
            refused = problem(SanyuError("SY-A076", limit=self.limits.body_bytes), 413)
        if refused is not None:
            await problem_response(refused)(scope, receive, send)
            return
        self.running += 1
        try:
            await self.app(scope, _replayed(body or b"", receive), send)
        finally:
            self.running -= 1

    def _refused(self, scope: Scope) -> dict[str, Any] | None:
        headers = dict(scope["headers"])
        if self.key is not None and not hmac.compare_digest(headers.get(b"x-api-key", b""), self.key):
            return problem(SanyuError("SY-A074"), 401)
        if self.running >= self.limits.at_work:
            return problem(SanyuError("SY-A085", limit=self.limits.at_work), 503, retry_after=1)
        wait = self._wait(str((scope.get("client") or ("-",))[0]))
        if wait > 0:
            whole = math.ceil(wait)
            return problem(SanyuError("SY-A077", limit=f"{self.limits.per_second:g}", wait_s=whole), 429, retry_after=whole)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.limits.body_bytes:
            return problem(SanyuError("SY-A076", limit=self.limits.body_bytes), 413)
        return None

    def _wait(self, client: str) -> float:
        """Take a token from the client's bucket; return 0, or the seconds until one is available."""
        now = time.monotonic()
        left, seen = self.buckets.pop(client, (float(self.limits.burst), now))
        left = min(self.limits.burst, left + (now - seen) * self.limits.per_second)
        taken = left >= 1
        self.buckets[client] = (left - 1 if taken else left, now)
        if len(self.buckets) > CLIENTS:
            self.buckets.popitem(last=False)
        return 0.0 if taken else (1 - left) / self.limits.per_second

    async def _body(self, receive: Receive) -> bytes | None:
        """Return the body, None if it is larger than allowed; the length stated by the sender is not trusted."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size > self.limits.body_bytes:
                return None
            parts.append(part)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def problem(error: SanyuError, status: int, *, retry_after: int | None = None) -> dict[str, Any]:
    """Return a problem document (RFC 9457) of an error, in both languages."""
    message = catalogue()[error.code]
    found = {
        "type": f"urn:sanyu:{error.code}",
        "title": message.en.format(**error.params),
        "title_zh": message.zh.format(**error.params),
        "status": status,
        "detail": message.remedy_en.format(**error.params),
        "detail_zh": message.remedy_zh.format(**error.params),
        "code": error.code,
    }
    return found | ({"retry_after": retry_after} if retry_after is not None else {})


def problem_response(told: dict[str, Any]) -> JSONResponse:
    """Return a problem document as a response."""
    headers = {"Retry-After": str(told["retry_after"])} if "retry_after" in told else None
    return ProblemResponse(told, status_code=told["status"], headers=headers)


class ProblemResponse(JSONResponse):
    """JSON with the media type of a problem document."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False).encode()
