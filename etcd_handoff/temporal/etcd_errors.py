"""Counts what etcd answers instead of what it was asked, by the class of the error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from temporalio import activity

from etcd_handoff.errors import EtcdError, EtcdPermissionError

if TYPE_CHECKING:
    from collections.abc import Iterator

ETCD_ERRORS: Final = "etcd_handoff_etcd_errors"


def count_etcd_error(cluster: str, error: EtcdError) -> None:
    """Count an error of etcd within an activity; elsewhere, as at the start of a worker, nothing is counted.

    Args:
        cluster: The cluster profile.
        error: The error, whether it fails the activity or becomes a part of its result.
    """
    if activity.in_activity():
        counter = activity.metric_meter().create_counter(ETCD_ERRORS, "Errors of etcd, failed attempts or not")
        counter.add(1, {"cluster": cluster, "error": type(error).__name__})


@contextmanager
def counting_etcd_errors(cluster: str) -> Iterator[None]:
    """Count errors of etcd that the activity deals with; one of missing rights fails it, and is counted then.

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
