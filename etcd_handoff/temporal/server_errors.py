"""Count the errors of etcd and API servers, by the class of the error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from temporalio import activity

from etcd_handoff.errors import ConflictError, EtcdError, EtcdPermissionError, ObjectGoneError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etcd_handoff.errors import KubernetesError

ETCD_ERRORS: Final = "etcd_handoff_etcd_errors"
KUBERNETES_ERRORS: Final = "etcd_handoff_kubernetes_errors"


def count_etcd_error(cluster: str, error: EtcdError) -> None:
    """Count an error of etcd within an activity. Elsewhere, as at the start of a worker, count nothing.

    Args:
        cluster: The cluster profile.
        error: The error, whether it fails the activity or becomes a part of its result.
    """
    if activity.in_activity():
        counter = activity.metric_meter().create_counter(ETCD_ERRORS, "Errors of etcd, failed attempts or not")
        counter.add(1, {"cluster": cluster, "error": type(error).__name__})


def count_kubernetes_error(cluster: str, error: KubernetesError) -> None:
    """Count one API server's error within an activity, although the next server may give the answer.

    A conflict and a missing object are ordinary answers, and are not counted.

    Args:
        cluster: The cluster profile.
        error: The error of one API server.
    """
    if activity.in_activity() and not isinstance(error, ConflictError | ObjectGoneError):
        counter = activity.metric_meter().create_counter(KUBERNETES_ERRORS, "Errors of API servers, each one's")
        counter.add(1, {"cluster": cluster, "error": type(error).__name__})


@contextmanager
def counting_etcd_errors(cluster: str) -> Iterator[None]:
    """Count errors of etcd that the activity handles. One of missing rights fails the activity, and is counted then.

    Args:
        cluster: The cluster profile.
    """
    try:
        yield
    except EtcdPermissionError:
        raise
    except EtcdError as error:
        count_etcd_error(cluster, error)
        raise
