"""The address engine over HTTP: JSON in and out, geometry as GeoJSON, errors as problem documents (RFC 9457) with a code in two languages.

`create_app` creates the application, `serve` runs it. Quick requests are answered on the event loop itself, because handing over to a
thread costs more than a match. Calls with many addresses go to a thread, so that short requests do not wait for them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

import anyio
from fastapi import FastAPI, Query, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from sanyu.address import service_models as models
from sanyu.address.engine import AddressEngine
from sanyu.address.formats import extract_record, feature, match_record, parsed_record, reverse_record, same_record
from sanyu.address.service_docs import add_docs
from sanyu.address.service_guard import Guard, Limits, problem, problem_response
from schemas.messages import SanyuError
from transforms.address.text import MAX_LENGTH

ON_LOOP = 8  # up to this number of addresses are matched on the event loop; more go to a thread
STATUS_OF = {"SY-A006": 404, "SY-A075": 413, "SY-A078": 422, "SY-G001": 422}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": models.Problem, "description": "No or a wrong API key"},
    413: {"model": models.Problem, "description": "Too many addresses or too large a body"},
    422: {"model": models.Problem, "description": "What was sent is not what is asked for"},
    429: {"model": models.Problem, "description": "Too many requests"},
}
DESCRIPTION = """Coordinates are CGCS2000 (EPSG:4490) degrees unless `crs` says otherwise. `status` is M (matched), T (tied: several of
equal worth) or U (unmatched); T and U bear a code, a message in English and Chinese, and no coordinate."""
_TEXT = Query(min_length=1, max_length=MAX_LENGTH, examples=["东海省临海新城望海区建设西路8号"])


def create_app(engine: AddressEngine, *, key: str | None = None, limits: Limits | None = None, title: str = "Sanyu addresses") -> FastAPI:
    """Return the application for an engine; with a `key`, every request except /health and the docs must send it."""
    bounds = limits or Limits()
    app = FastAPI(
        title=title,
        version="1",
        summary="Place names and addresses: match, reverse, parse, extract, compare (地名地址引擎)",
        description=DESCRIPTION,
        responses=_PROBLEMS,
        dependencies=[Security(APIKeyHeader(name="X-API-Key", auto_error=False))],  # only for the docs; `Guard` does the checking
        license_info={"name": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, key=key, limits=bounds)
    _errors(app)
    _matching(app, engine, bounds)
    _reading(app, engine)
    _asking(app, engine)
    add_docs(app)
    return app


def serve(
    engine: AddressEngine, *, host: str = "127.0.0.1", port: int = 8090, key_env: str | None = None, limits: Limits | None = None
) -> None:
    """Run the service until it is stopped; SY-A079 for an open host without a key, SY-A080 if the variable has none."""
    import uvicorn

    key = key_of_environment(key_env)
    if key is None and not _is_loopback(host):
        raise SanyuError("SY-A079", host=host)
    warm(engine)
    uvicorn.run(create_app(engine, key=key, limits=limits), host=host, port=port, log_level="warning", access_log=False)


def key_of_environment(name: str | None) -> str | None:
    """Return the key in an environment variable, None if no variable is named; SY-A080 if it has none."""
    if name is None:
        return None
    key = os.environ.get(name, "")
    if len(key) < 16:
        raise SanyuError("SY-A080", name=name)
    return key


def warm(engine: AddressEngine) -> None:
    """Compile and load what the first request would otherwise wait for."""
    engine.match_many(["预热路1号", "预热小学", "预热路與暖路交叉口"])
    engine.reverse(120.0, 30.0)
    engine.parse("预热路1号")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _matching(app: FastAPI, engine: AddressEngine, limits: Limits) -> None:
    def answered(body: models.MatchRequest) -> dict[str, Any]:
        asked: list[Any] = list(body.addresses) if body.addresses is not None else [body.address]
        if body.near is not None:
            matches = [engine.match(one or "", context=body.context, near=body.near, limit=body.limit, at=body.at) for one in asked]
        else:
            matches = engine.match_many(asked, context=body.context, limit=body.limit, at=body.at)
        if body.format == "geojson":
            return {"type": "FeatureCollection", "features": [feature(match) for match in matches]}
        return {"count": len(matches), "results": [match_record(match) for match in matches]}

    @app.post("/match", response_model=models.MatchResponse, tags=["addresses"])
    async def match(body: models.MatchRequest) -> Any:
        """Match one address or a list, each as one string or as fields; every address has its result, in order."""
        count = len(body.addresses) if body.addresses is not None else 1
        if count > limits.addresses:
            raise SanyuError("SY-A075", count=count, limit=limits.addresses)
        return JSONResponse(answered(body) if count <= ON_LOOP else await anyio.to_thread.run_sync(answered, body))


def _reading(app: FastAPI, engine: AddressEngine) -> None:
    @app.get("/parse", response_model=models.Parsed, tags=["text"])
    async def parse(text: Annotated[str, _TEXT]) -> Any:
        """Split an address into its elements with offsets; nothing is looked up."""
        return JSONResponse(parsed_record(engine.parse(text)))

    @app.post("/extract", response_model=models.ExtractResponse, tags=["text"])
    async def extract(body: models.ExtractRequest) -> Any:
        """Find the toponyms and addresses in running text, with offsets and matches."""
        found = await anyio.to_thread.run_sync(engine.extract, body.text)
        return JSONResponse({"count": len(found), "results": [extract_record(one) for one in found]})

    @app.get("/same", response_model=models.Same, tags=["text"])
    async def same(a: Annotated[str, _TEXT], b: Annotated[str, _TEXT]) -> Any:
        """Compare two texts: the same address, one part of the other (partial) or different."""
        return JSONResponse(same_record(engine.same(a, b)))


def _asking(app: FastAPI, engine: AddressEngine) -> None:
    @app.get("/reverse", response_model=models.Reverse, tags=["addresses"])
    async def reverse(
        lon: Annotated[float, Query(examples=[120.8387])],
        lat: Annotated[float, Query(examples=[30.1919])],
        crs: Annotated[str, Query(max_length=32, description="EPSG code, GCJ-02 or BD-09", examples=["EPSG:4490"])] = "EPSG:4490",
        at: Annotated[date | None, Query(description="Day of the divisions; the latest known without it")] = None,
    ) -> Any:
        """Return division chain, nearest street and nearest standard address of a point, or the reason why there is none."""
        return JSONResponse(reverse_record(engine.reverse(lon, lat, crs=crs, at=at), lon, lat))

    @app.post("/alias", status_code=201, response_model=models.AliasRequest, tags=["aliases"])
    async def alias(body: models.AliasRequest) -> Any:
        """Add another name of an entity, or of an element wherever it occurs; it takes effect with the next request."""
        engine.add_alias(
            body.alias,
            entity_id=body.entity_id,
            element=body.element,
            level=body.level,
            kind=body.kind,
            valid_from=body.valid_from,
            valid_to=body.valid_to,
        )
        return JSONResponse(body.model_dump(mode="json"), status_code=201)

    @app.get("/health", tags=["service"])
    async def health() -> dict[str, Any]:
        """Report that the service is up, and what it has loaded."""
        return {"status": "ok", "has_national": engine.has_national}


def _errors(app: FastAPI) -> None:
    def handler(kind: type[Exception]) -> Callable[[Any], Any]:
        return app.exception_handler(kind)

    @handler(SanyuError)
    async def known(request: Request, error: SanyuError) -> JSONResponse:
        return problem_response(problem(error, STATUS_OF.get(error.code, 400)))

    @handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        return problem_response(problem(SanyuError("SY-A078", field=field, reason=str(first["msg"])), 422))

    @handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        told = SanyuError("SY-A083", path=request.url.path) if error.status_code in (404, 405) else None
        if told is None:
            told = SanyuError("SY-A078", field=request.url.path, reason=str(error.detail))
        return problem_response(problem(told, error.status_code))


__all__ = ["Limits", "create_app", "key_of_environment", "serve", "warm"]
