"""``GET /v1/models`` and ``/v1/models/{id}``."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from gensafe.core.errors import NotFound
from gensafe.engines import Engine
from gensafe.server.http.openai.front import Call


async def list_models(call: Call) -> Response:
    """Every model of every engine that the caller may use."""
    known = [(engine, name) for engine in call.front.chain.engines for name in engine.models]
    data = [_model(call, engine, name) for engine, name in known if call.identity.may_use(name)]
    return JSONResponse({"object": "list", "data": data})


async def get_model(call: Call) -> Response:
    """One model."""
    wanted = call.request.path_params["model"]
    for engine in call.front.chain.engines:
        if wanted in engine.models and call.identity.may_use(wanted):
            return JSONResponse(_model(call, engine, wanted))
    raise NotFound(f"the model {wanted[:80]!r} does not exist", field="model")


def _model(call: Call, engine: Engine, name: str) -> dict[str, Any]:
    can = engine.can
    return {
        "id": name,
        "object": "model",
        "created": call.front.started_s,
        "owned_by": engine.name,
        "gensafe": {
            "engine": engine.name,
            "backend": engine.backend.name,
            "backend_version": engine.backend.version,
            "weights_digest": engine.models[name],
            "inputs": sorted(can.inputs),
            "outputs": sorted(can.outputs),
            "parameters": sorted(can.parameters),
            "sampling_marks": can.sampling_marks,
            "description": can.description,
            "unavailable": "" if engine.health.ok else engine.health.reason,
        },
    }
