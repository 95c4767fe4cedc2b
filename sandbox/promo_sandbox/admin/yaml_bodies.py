"""A large body in YAML, which takes seconds to read: read in slices, and then answered as if it had come as JSON."""

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

AT_ONCE = 16_384  # bytes of YAML that are read without a pause
_YAML = b"application/yaml"
_JSON = b"application/json"


def is_slow(request: Request) -> bool:
    """Whether it would keep others waiting to read this request's body."""
    if len(request.body) <= AT_ONCE:
        return False
    return request.fields.get(b"content-type", b"").partition(b";")[0].strip().lower() == _YAML


def answered_later(route: Route, request: Request, call: Call, admit: Admit, answer: Callable[[Admit], Reply]) -> Reply:
    """The reply that comes when the body was read. answer: answers the request, whom the function admits."""
    if isinstance(admit(route, request, call), str):
        return answer(admit)
    reply = Reply(route.operation.success.status)

    def work() -> Work[Reply]:
        admitted = admit
        try:
            value = yield from yaml_file.parse_untrusted_in_slices(request.body.decode(), "body")
        except (DocumentError, UnicodeDecodeError) as error:
            admitted = _refusing(Violation("body", str(error), "syntax"))
        else:
            # As long as it was, so that nobody looks for lines in it.
            request.body = encode(value).ljust(len(request.body))
            request.fields = {**request.fields, b"content-type": _JSON}
        done = answer(admitted)
        return done if done.work is None else (yield from done.work)

    reply.work = work()
    return reply


def _refusing(violation: Violation) -> Admit:
    """Admits nobody: there is nothing to read that could be judged."""

    def refuse(_route: Route, _request: Request, _call: Call) -> str:
        raise Rejected(INVALID_REQUEST, violations=[violation])

    return refuse
