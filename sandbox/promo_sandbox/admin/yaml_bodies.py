"""Large YAML bodies take seconds to parse. They are parsed in slices, then handled as if they were JSON."""

from __future__ import annotations

from collections.abc import Callable

from promo_sandbox.base import yaml_file
from promo_sandbox.base.errors import DocumentError
from promo_sandbox.base.messages import Reply, Request, Violation, encode
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.execution import Admit
from promo_sandbox.model.call import Call
from promo_sandbox.model.contract import INVALID_REQUEST, Route
from promo_sandbox.model.rejected import Rejected

AT_ONCE = 16_384  # bytes; YAML of at most this size is parsed in one go
_YAML = b"application/yaml"
_JSON = b"application/json"


def is_slow(request: Request) -> bool:
    """Whether parsing the body would delay other requests."""
    if len(request.body) <= AT_ONCE:
        return False
    return request.fields.get(b"content-type", b"").partition(b";")[0].strip().lower() == _YAML


def answer_later(route: Route, request: Request, call: Call, admit: Admit, answer: Callable[[Admit], Reply]) -> Reply:
    """A reply that is made when the body is parsed, by `answer`, with the function that admits the request."""
    if isinstance(admit(route, request, call), str):
        return answer(admit)
    reply = Reply(route.operation.success.status)

    def work() -> Work[Reply]:
        admit_parsed = admit
        try:
            value = yield from yaml_file.parse_untrusted_in_slices(request.body.decode(), "body")
        except (DocumentError, UnicodeDecodeError) as error:
            admit_parsed = _rejecting(Violation("body", str(error), "syntax"))
        else:
            # Not shorter than the YAML, so that no line numbers are looked for.
            request.body = encode(value).ljust(len(request.body))
            request.fields = {**request.fields, b"content-type": _JSON}
        done = answer(admit_parsed)
        return done if done.work is None else (yield from done.work)

    reply.work = work()
    return reply


def _rejecting(violation: Violation) -> Admit:
    """Rejects the request, whose body is not valid YAML."""

    def reject(_route: Route, _request: Request, _call: Call) -> str:
        raise Rejected(INVALID_REQUEST, violations=[violation])

    return reject
