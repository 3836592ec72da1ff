"""What answers of API servers mean, one by one and together. Pure.

An API server that was just started refuses every user for a moment. One on an empty etcd has no users and no objects.
One may not serve a kind yet. So a 401, a 403 or a missing kind is the answer of one server. Only an answer of all
servers is the cluster's.
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
"""HTTP status and our class (Kubernetes API conventions, "HTTP Status codes"). Any other status is about the server and
not about the object."""
OF_THE_OBJECT: Final = (400, 409, 422)
"""Statuses that are final if a Status object has them. Proxies and dying servers send them in plain text."""
DENIED: Final = re.compile(
    r'admission webhook "[^"]*" denied the request|ValidatingAdmissionPolicy \'[^\']*\'.* denied request'
)
"""How API servers begin the message of a webhook (`plugin/webhook/errors/statuserror.go`) or a policy
(`plugin/policy/validating/dispatcher.go`). Both choose their status, so the status does not decide."""
NOT_BY_RIGHTS: Final = re.compile(r"cannot \S+ (resource|path) ")
"""How the authorizer refuses (`endpoints/handlers/responsewriters/errors.go`). Any other 403 is from an admission
plugin such as a quota."""
NO_KIND: Final = "could not find the requested resource"
"""The message of API servers that do not serve a kind (`endpoints/handlers/responsewriters`, for an unknown path)."""
LONGEST_TEXT, LONGEST_READ = 300, 1000
"""How much of a message is passed on, and how much is read at all."""


class HttpAnswer(Protocol):
    """The fields that are read from an exception of the Kubernetes client."""

    status: int | None
    reason: Any
    body: Any


def classify(answer: HttpAnswer) -> KubernetesError:
    """Return our error for an HTTP answer.

    The message is the API server's own `message`, shortened for a log and without addresses. For a webhook that cannot
    be called, the message contains its URL.
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
    """Whether a 404 is about one object, and not about a kind, a path, or a proxy's page."""
    details = body.get("details")
    return isinstance(details, dict) and bool(details.get("name")) and NO_KIND not in str(body.get("message"))


def _status_object(body: object) -> dict[str, Any]:
    """Return the Status object of an answer, or an empty one."""
    try:
        read = json.loads(body) if isinstance(body, str | bytes) and body else None
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def definite(error: BaseException) -> bool:
    """Return whether one API server's answer is final: it is about the object and the request."""
    return isinstance(error, ConflictError | RejectedError)


def together(answers: Mapping[str, HandoffError], departing: Container[str] = ()) -> HandoffError:
    """Return one error for the answers of all API servers that were asked, if none gave a result.

    Args:
        answers: The error of each context.
        departing: Contexts of the departing node. Its silence does not make a missing kind uncertain.
    """
    text, errors = texts(answers), tuple(answers.values())
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
                silent = {context for context, e in answers.items() if e not in answered}
                error.certain = all(context in departing for context in silent)
            return error
    if all(isinstance(e, ConfigError) for e in errors):
        return ConfigError(
            f"clusters.*.kubernetes: no API server can be asked: {text}; correct kubeconfig and contexts"
        )
    return ApiUnavailableError(f"{'no API server does it' if answered else 'no API server answered'}: {text}")


def _object_gone(error: HandoffError) -> bool:
    return isinstance(error, ObjectGoneError) and not isinstance(error, KindGoneError)


def texts(answers: Mapping[str, HandoffError]) -> str:
    """Return what each context answered, or the answer once if all gave the same HTTP answer."""
    spoken = {str(error) for error in answers.values()}
    if len(spoken) == 1 and all(getattr(error, "status", 0) for error in answers.values()):
        return spoken.pop()
    return "; ".join(f"{context or 'in-cluster'}: {error}" for context, error in answers.items())
