"""A small client of Airflow's REST API on the loopback address: what following a demo needs, over the standard library."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from schemas.messages import SanyuError

_PAGE = 100
_TRIES = 5  # of a question; a command is sent once, since the server may have done what it could not answer


@dataclass
class AirflowApi:
    """Calls to one local Airflow; `log` is the folder that errors point to."""

    url: str
    log: str
    _token: str | None = field(default=None, repr=False)

    def healthy(self) -> dict[str, str]:
        """Return the status of each component, empty while the server does not answer."""
        try:
            answer = self._send("GET", "/api/v2/monitor/health", None, {})
        except (OSError, ValueError):
            return {}
        return {name: part.get("status") or "" for name, part in answer.items() if isinstance(part, dict)}

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        """Return the JSON answer; raises SanyuError SY-E031 with the status and Airflow's reason.

        A question is asked again where a busy server fails or does not answer.
        """
        full = path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
        for turn in range(1, _TRIES if method == "GET" else 1):
            try:
                return self._called(method, path, full, body)
            except SanyuError as error:
                status = error.params["status"]
                if isinstance(status, int) and status < 500:
                    raise
                time.sleep(turn)
        return self._called(method, path, full, body)

    def _called(self, method: str, path: str, full: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            if self._token is None:
                self._token = str(self._send("GET", "/auth/token", None, {})["access_token"])
            return self._send(method, "/api/v2" + full, body, {"Authorization": f"Bearer {self._token}"})
        except urllib.error.HTTPError as error:
            reason = _reason(error.read())
            raise SanyuError("SY-E031", method=method, path=path, status=error.code, reason=reason, log=self.log) from None
        except (OSError, ValueError) as error:
            raise SanyuError("SY-E031", method=method, path=path, status="nothing", reason=str(error), log=self.log) from None

    def exists(self, path: str) -> bool:
        """Tell whether the path is there; other failures raise as in `call`."""
        try:
            self.call("GET", path)
        except SanyuError as error:
            if error.params.get("status") == 404:
                return False
            raise
        return True

    def listed(self, path: str, member: str, **query: Any) -> list[dict[str, Any]]:
        """Return all items of a paged list, whose page holds them under `member`."""
        items: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", path, limit=_PAGE, offset=len(items), **query)
            items += page[member]
            if not page[member] or len(items) >= page["total_entries"]:
                return items

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=sent)
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: dict[str, Any] = json.loads(answer.read() or b"{}")
        return content


def _reason(body: bytes) -> str:
    """Return what the server says of an error: its detail, with that of the database behind it where there is one."""
    text = body.decode("utf-8", errors="replace")
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        return text[:300]
    if isinstance(detail, dict):
        said = [str(detail[name]) for name in ("reason", "message", "orig_error") if detail.get(name)]
        return ": ".join(said)[:600] or json.dumps(detail)[:300]
    return str(detail)[:300]


def quoted(text: str) -> str:
    """Return a path segment: run ids hold `+` and `:`."""
    return urllib.parse.quote(text, safe="")
