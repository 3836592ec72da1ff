"""The search attributes of a namespace: their keys, whether they exist, and their registration.

Managed Temporal refuses the OperatorService to an ordinary API key. Then a query that names the attributes shows
whether the namespace has them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from etcd_handoff.search_attributes import CLUSTER_ATTRIBUTE, MEMBER_ATTRIBUTE, SEARCH_ATTRIBUTES, STATE_ATTRIBUTE
from etcd_handoff.temporal.setup import NOT_FOR_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.client import Client

CLUSTER_KEY: Final = SearchAttributeKey.for_keyword(CLUSTER_ATTRIBUTE)
MEMBER_KEY: Final = SearchAttributeKey.for_keyword(MEMBER_ATTRIBUTE)
STATE_KEY: Final = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)
KEYWORD: Final = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
REGISTER: Final = (
    f"register {CLUSTER_ATTRIBUTE}, {MEMBER_ATTRIBUTE} and {STATE_ATTRIBUTE} as Keyword with"
    " `temporal operator search-attribute create`, or in the console of a managed Temporal, then restart the workers"
)
"""The remedy where they are missing."""

log = logging.getLogger(__name__)


def attributes_of_another_type(registered_types: Mapping[str, int]) -> list[str]:
    """Return the names of our search attributes that a namespace has, but not as Keyword.

    Temporal refuses our values for them.

    Args:
        registered_types: The namespace's custom search attributes, each with its `IndexedValueType`.
    """
    return [name for name in SEARCH_ATTRIBUTES if registered_types.get(name, KEYWORD) != KEYWORD]


async def ensure_search_attributes(client: Client) -> bool:
    """Register our search attributes if they are missing and we may. Return whether the namespace has them."""
    reason = await _register(client)
    if reason:
        log.warning("running without search attributes: %s; %s", reason, REGISTER)
    return not reason


async def _register(client: Client) -> str:
    """Register missing search attributes. Return why they cannot be used, or "" when they can."""
    try:
        known = await registered(client)
        missing = {name: KEYWORD for name in SEARCH_ATTRIBUTES if name not in known}
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        # Another worker may have registered them meanwhile.
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return ""
        return await unusable(client) if error.status in NOT_FOR_US else error.message.rstrip(".")
    # Temporal refuses a value of another type, and each time fails the workflow task.
    wrong_type = attributes_of_another_type(known)
    return f"not of type Keyword, to be removed first: {', '.join(wrong_type)}" if wrong_type else ""


async def registered(client: Client) -> dict[str, int]:
    """Return the namespace's custom search attributes, each with its `IndexedValueType`.

    Raises:
        RPCError: These credentials may not ask, or Temporal does not answer.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.operator_service.list_search_attributes(request)
    return {name: int(kind) for name, kind in answer.custom_attributes.items()}


async def unusable(client: Client) -> str:
    """Return why no query can name our search attributes, or "" when one can. It sends such a query.

    The server refuses a query that names an unregistered attribute, or a value of another type (Temporal
    `common/persistence/visibility/store/query/converter.go`). Every client may count workflows.
    """
    query = " AND ".join(f'{name} = "none"' for name in SEARCH_ATTRIBUTES)
    try:
        await client.workflow_service.count_workflow_executions(
            CountWorkflowExecutionsRequest(namespace=client.namespace, query=query)
        )
    except RPCError as error:
        return error.message.rstrip(".") or error.status.name
    return ""
