"""The requests of a script, checked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from etcd_handoff.client.errors import InvalidInputError
from etcd_handoff.contract import FailureType
from etcd_handoff.wire import Request, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

RequestT = TypeVar("RequestT", bound=Request)


def checked(model: type[RequestT], fields: Mapping[str, object]) -> RequestT:
    """Return the request that these fields make.

    Raises:
        InvalidInputError: A field is wrong. The message has one line for each.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        text = "\n".join(describe(error))
        raise InvalidInputError(text, failure_type=FailureType.INVALID_INPUT) from None
