"""What every endpoint shares: who calls, under which id, and how errors leave."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gensafe.core.config_check import is_loopback
from gensafe.core.errors import (
    GensafeError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
)
from gensafe.core.languages import Words, chosen
from gensafe.core.types import GenerationRequest
from gensafe.pipeline import CallControl, Chain, Held, PipelineEvent, Released, Stopped
from gensafe.server.api_keys import Keys
from gensafe.server.generation import GenerationServicer
from gensafe.server.http.identity import identity_of
from gensafe.server.http.openai.answers import Refused, error_body, error_response, stopped_error
from gensafe.server.http.openai.fields import Fields, parse_object
from gensafe.server.http.openai.provenance import held_object
from gensafe.server.http.openai.running import Run, until_gone
from gensafe.server.identity import LOCAL, Identity, establish_caller
from gensafe.server.inside import Methods
from gensafe.server.limits import Limits
from gensafe.server.quota import ByteBudget
from gensafe.server.work import offload, use_pool

log = logging.getLogger("gensafe.server")

ANY_MODEL: Final = "default"  # the first engine that can do what is asked for
MAX_KEY: Final = 255  # characters of an Idempotency-Key
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:gensafe:idempotency-key")
_LARGE: Final = 1 << 18  # bytes; JSON above this is parsed beside the event loop


@dataclass(frozen=True, slots=True)
class Front:
    """What the endpoints work with.

    Args:
        chain: Serves.
        generation: Runs generations and jobs, under the limits that gRPC calls have.
        methods: The gRPC methods, for calls by Connect; behind the interceptors of the gRPC server.
        keys: The callers' keys; None = the server has none.
        limits: The server's: quotas, and pools for what is read and judged.
        max_bytes: Largest request body.
    """

    chain: Chain
    generation: GenerationServicer
    methods: Methods
    keys: Keys | None
    limits: Limits
    max_bytes: int
    started_s: int = field(default_factory=lambda: int(time.time()))

    @property
    def anonymous(self) -> bool:
        """Whether callers without a key are the owner: loopback of a server without identities, as with gRPC."""
        server = self.chain.config.server
        return self.keys is None and not server.tls_client_ca and is_loopback(server.http, "server.http")

    def identify(self, request: Request, *roles: str) -> Identity:
        """Who calls; must have one of ``roles``.

        Raises:
            Unauthenticated: no key, or a wrong one.
            PermissionDenied: the key lacks the role, or another site's page sent the request.
        """
        identity: Identity | None
        if self.anonymous:
            # browsers let any page send requests to this machine, and here no key is asked for
            other = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
            if other and request.headers.get("origin") not in self.chain.config.server.http_origins.split():
                raise PermissionDenied("the request comes from a page of another site")
            identity = LOCAL  # clients of this API always send some key
            establish_caller(identity)
        else:
            identity = identity_of(request, self.keys) if self.keys is not None else None
        if identity is None:
            raise Unauthenticated("an API key is needed", fix="send 'Authorization: Bearer KEY'")
        if not identity.roles & set(roles):
            raise PermissionDenied(f"this key lacks the role {' or '.join(roles)!s}")
        return identity


@dataclass(slots=True)
class Call:
    """One request on its way through an endpoint."""

    front: Front
    request: Request
    identity: Identity
    params: dict[str, str] = field(default_factory=dict)  # names of ours -> parameters of this endpoint
    stop_code: str = "content_filter"
    prompt_param: str = "prompt"

    @property
    def request_id(self) -> str:
        """From the Idempotency-Key (of this tenant), or the one of this HTTP request.

        Raises:
            InvalidRequest: the key is too long.
        """
        key = self.request.headers.get("idempotency-key", "")
        if len(key) > MAX_KEY:
            raise InvalidRequest(f"has more than {MAX_KEY} characters", field="Idempotency-Key")
        if key:
            return str(uuid.uuid5(_NAMESPACE, f"{self.identity.tenant}\0{key}"))
        return str(self.request.scope["gensafe.request_id"])

    @property
    def words(self) -> Words:
        """The language of sentences for people: that of the Accept-Language header."""
        return chosen(self.request.headers.get("accept-language", ""))

    @property
    def max_bytes(self) -> int:
        """Largest request body."""
        return self.front.max_bytes

    @property
    def now_s(self) -> int:
        """Seconds since 1970, as this API dates its answers."""
        return self.front.chain.clock.now_ms() // 1000

    async def json(self) -> Fields:
        """The body.

        Raises:
            InvalidRequest: not a JSON object.
        """
        data = await self.request.body()
        return await offload(parse_object, data) if len(data) > _LARGE else parse_object(data)

    def model(self, fields: Fields) -> str:
        """The model that is asked for; "" = the first engine that can.

        Raises:
            NotFound: no such model.
        """
        name = fields.text("model")
        if name in ("", ANY_MODEL):
            return ""
        known = self.front.chain.engines.models()
        if name not in known:
            raise NotFound(
                f"the model {name[:80]!r} does not exist", field="model", fix=f"one of: {ANY_MODEL}, {', '.join(known)}"
            )
        return name

    def run(self, wanted: GenerationRequest) -> Run:
        """Begin a generation."""
        control = CallControl(time.monotonic() + self.front.chain.config.server.default_deadline_s)
        return Run(self.front.generation.events(wanted, control), control)

    async def whole(self, wanted: GenerationRequest) -> Released:
        """Generate and wait for the output.

        Raises:
            Refused: policy stopped it, or a person must see it first.
            GensafeError: as the pipeline.
        """
        run = self.run(wanted)
        async with until_gone(self.request.receive, run.control), run:
            async for _ in run.texts():
                pass
        return self.released(run.end)

    async def started(self, wanted: GenerationRequest) -> Run:
        """Generate until the first text may leave. What ends before that is an answer of its own.

        Raises:
            Refused, GensafeError: as ``whole``.
        """
        run = self.run(wanted)
        try:
            async with until_gone(self.request.receive, run.control):
                await run.start()
            if isinstance(run.end, Stopped | Held):
                self.released(run.end)
        except BaseException:
            await run.__aexit__(None, None, None)
            raise
        return run

    def released(self, end: PipelineEvent | None) -> Released:
        """The output.

        Raises:
            Refused: there is none.
        """
        if isinstance(end, Stopped):
            status, body = stopped_error(end, self.stop_code, self.prompt_param, self.words)
            raise Refused(JSONResponse(body, status))
        if isinstance(end, Held):
            raise Refused(JSONResponse({"gensafe": held_object(end, self.words)}, 202))
        assert isinstance(end, Released)
        return end


Handler = Callable[[Call], Awaitable[Response]]


class Delivered(Response):
    """An answer on its way: what it holds counts against the memory of all deliveries until it is read.

    Raises:
        Overloaded: by calling it, before anything is sent. An output can be fetched later.
    """

    def __init__(self, answer: Response, budget: ByteBudget) -> None:
        self._answer = answer
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        with self._budget.lease() as lease:
            lease.grow(len(getattr(self._answer, "body", b"")))
            await self._answer(scope, receive, send)


def endpoint(front: Front, handler: Handler, *roles: str) -> Callable[[Request], Awaitable[Response]]:
    """A route's handler: identity first, then the work; every refusal in this API's shape."""

    async def answer(request: Request) -> Response:
        call: Call | None = None
        try:
            call = Call(front, request, front.identify(request, *roles))
            use_pool(front.limits.read, call.identity.tenant)
            if request.method == "POST":  # what is made or judged is counted where it begins, what is refused, below
                front.limits.check("queries", call.identity.tenant)
            else:
                front.limits.take("queries", call.identity.tenant)
            return Delivered(await handler(call), front.limits.deliveries)
        except Refused as refused:
            return refused.response
        except GensafeError as error:
            if call is not None and request.method == "POST" and not isinstance(error, Overloaded):
                front.limits.spend("queries", call.identity.tenant)  # it was read, and nothing began that counts
            if not isinstance(error, InvalidRequest):
                log.info("request %s: %s: %s", request.scope["gensafe.request_id"], error.reason, error.message)
            return error_response(error, call.params if call else None)
        except ClientDisconnect:
            return JSONResponse(error_body("the client went away"), 400)

    return answer
