"""What answers of API servers mean, one by one and taken together. Pure.

An API server that has just been started refuses everybody for a moment, one on an empty etcd knows nobody and nothing,
and one may not serve a kind of object yet. So a 401, a 403 or a missing kind is the word of that one server, and only
what all say is the cluster's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from etcd_handoff.errors import (
    ADDRESS,
    AdmissionError,
    ApiUnavailableError,
    ConfigError,
    ConflictError,
    KindGoneError,
    KubernetesError,
    KubernetesPermissionError,
    ObjectGoneError,
    RejectedError,
    UnauthenticatedError,
)

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from etcd_handoff.errors import HandoffError

BY_STATUS: Final[dict[int, type[KubernetesError]]] = {
    400: RejectedError,
    401: UnauthenticatedError,
    403: KubernetesPermissionError,
    404: ObjectGoneError,
    409: ConflictError,
    422: RejectedError,
}
"""HTTP status and our class (Kubernetes API conventions, "HTTP Status codes"); every other one speaks of the server and
not of the object."""
OF_THE_OBJECT: Final = (400, 409, 422)
"""What is every API server's word where a Status object says it: proxies and dying servers answer so in plain text."""
DENIED: Final = re.compile(
    r'admission webhook "[^"]*" denied the request|ValidatingAdmissionPolicy \'[^\']*\'.* denied request'
)
"""How API servers begin what a webhook (`plugin/webhook/errors/statuserror.go`) or a policy
(`plugin/policy/validating/dispatcher.go`) says, whatever the status: both choose theirs."""
NOT_BY_RIGHTS: Final = re.compile(r"cannot \S+ (resource|path) ")
"""How the authorizer refuses (`endpoints/handlers/responsewriters/errors.go`); any other 403 is of an admission plugin
such as a quota."""
NO_KIND: Final = "could not find the requested resource"
"""What API servers answer where a kind is not served (`endpoints/handlers/responsewriters`, a path that is none)."""
LONGEST_TEXT, LONGEST_READ = 300, 1000
"""How much of a message is passed on, and read at all."""


class HttpAnswer(Protocol):
    """What is read of an exception of the Kubernetes client."""

    status: int | None
    reason: Any
    body: Any


def classify(answer: HttpAnswer) -> KubernetesError:
    """Our error for an HTTP answer.

    The message is the API server's own `message`, cut to what a log can carry, without addresses: where a webhook
    cannot be called it carries its URL.
    """
    body = _status_object(answer.body)
    text = str(body.get("message") or (answer.body if not body else "") or answer.reason).strip()[:LONGEST_READ]
    status = answer.status or 0
    error = _kind(status, body, text)(f"{status}: {ADDRESS.sub('...', text)[:LONGEST_TEXT]}")
    error.status = status
    return error


def _kind(status: int, body: Mapping[str, Any], text: str) -> type[KubernetesError]:
    if DENIED.search(text):
        return AdmissionError
    if status == 403 and "is forbidden: " in text and not NOT_BY_RIGHTS.search(text):
        return AdmissionError
    if status == 404 and not _names_object(body):
        return KindGoneError
    if status in OF_THE_OBJECT and body.get("kind") != "Status":
        return ApiUnavailableError
    return BY_STATUS.get(status, ApiUnavailableError)


def _names_object(body: Mapping[str, Any]) -> bool:
    """Whether a 404 speaks of one object, and not of a kind, a path, or of a proxy's page."""
    details = body.get("details")
    return isinstance(details, dict) and bool(details.get("name")) and NO_KIND not in str(body.get("message"))


def _status_object(body: object) -> dict[str, Any]:
    """The Status object of an answer; empty when it is none."""
    try:
        read = json.loads(body) if isinstance(body, str | bytes) and body else None
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def definite(error: BaseException) -> bool:
    """Whether one API server's answer is the last word: it speaks of the object and of what was sent."""
    return isinstance(error, ConflictError | RejectedError)


def together(heard: Mapping[str, HandoffError], departing: Container[str] = ()) -> HandoffError:
    """What the answers of all API servers that were asked come to, where none gave what was asked for.

    Args:
        heard: What went wrong at each context.
        departing: Contexts of the departing node: that one is silent says nothing on what others do not serve.
    """
    text, errors = texts(heard), tuple(heard.values())
    if any(isinstance(e, AdmissionError) for e in errors):
        return AdmissionError(text)
    if any(_object_gone(e) for e in errors):
        gone = ObjectGoneError(text)
        gone.certain = all(_object_gone(e) for e in errors)
        return gone
    answered = [e for e in errors if isinstance(e, KubernetesError) and e.status]
    for kind in (UnauthenticatedError, KubernetesPermissionError, KindGoneError):
        if answered and all(isinstance(e, kind) for e in answered):
            error = kind(text)
            if isinstance(error, ObjectGoneError):
                silent = {context for context, e in heard.items() if e not in answered}
                error.certain = all(context in departing for context in silent)
            return error
    if all(isinstance(e, ConfigError) for e in errors):
        return ConfigError(
            f"clusters.*.kubernetes: no API server can be asked: {text}; correct kubeconfig and contexts"
        )
    return ApiUnavailableError(f"{'no API server does it' if answered else 'no API server answered'}: {text}")


def _object_gone(error: HandoffError) -> bool:
    return isinstance(error, ObjectGoneError) and not isinstance(error, KindGoneError)


def texts(heard: Mapping[str, HandoffError]) -> str:
    """What each context answered; once where all gave the same HTTP answer."""
    spoken = {str(error) for error in heard.values()}
    if len(spoken) == 1 and all(getattr(error, "status", 0) for error in heard.values()):
        return spoken.pop()
    return "; ".join(f"{context or 'in-cluster'}: {error}" for context, error in heard.items())
