"""Define one tree of errors, by what went wrong and whether anything may have changed.

Exceptions of etcd3aio, gRPC and the Kubernetes client end at the gateways. All code above them meets only the classes
of this file. Their messages carry no endpoint and no secret, because messages reach workflow histories.
"""

from __future__ import annotations

import re
from typing import Final

ADDRESS: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s'\")]+|\[[0-9a-fA-F:.]+\](?::\d+)?|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+:\d+\b|\b[A-Za-z][A-Za-z0-9-]*:\d{2,5}\b|\b(?:[0-9a-fA-F]{0,4}:){3,}[0-9a-fA-F]*",
)
"""Matches a URL, an address, or a host with a port, which must not reach a history."""


class HandoffError(Exception):
    """Root of every error that this project raises on purpose.

    Attributes:
        may_have_changed: True when the call may have taken effect although it failed: read before repeating it.
    """

    may_have_changed: bool = False


class ConfigError(HandoffError):
    """The configuration file is missing, unreadable or wrong; the message names the field and the remedy."""


class UnknownClusterError(ConfigError):
    """A request names a cluster profile that the configuration does not have."""


class RunsAlreadyError(HandoffError):
    """Another operation with another goal runs in the place of the one that was to be started."""


class EtcdError(HandoffError):
    """An etcd member answered with an error, or did not answer."""


class UnreachableError(EtcdError):
    """The asked endpoint did not answer, and nothing was asked to change there."""


class UnknownOutcomeError(EtcdError):
    """The call was sent and its effect is unknown: list the members again before anything else."""

    may_have_changed = True


class NotLeaderError(EtcdError):
    """Only the leader serves MoveLeader, and the asked member does not lead (any more)."""


class BadTransfereeError(EtcdError):
    """Etcd refuses the transferee: it is unknown or a learner."""


class TransferTimeoutError(EtcdError):
    """The leader gave up waiting for the transferee; it may still be elected."""

    may_have_changed = True


class UnhealthyClusterError(EtcdError):
    """Etcd's own strict check refuses a membership change for now; nothing changed.

    The guard counts peers that have been connected for 5 s (etcd `server/etcdserver/server.go`, HealthInterval).
    """


class NotEnoughStartedError(EtcdError):
    """Etcd refuses because too few started members would remain; nothing changed."""


class ChangeRefusedError(EtcdError):
    """Etcd does not add or promote this learner now; nothing changed."""


class MemberNotFoundError(EtcdError):
    """The member ID is not in the membership: removed before, or never there."""


class LearnerEndpointError(EtcdError):
    """The asked member is a learner and serves no such call."""


class CompactedError(EtcdError):
    """The revision asked for is compacted or lies in the future of the asked member."""


class CorruptClusterError(EtcdError):
    """Etcd has raised its CORRUPT alarm."""


class SpaceExceededError(EtcdError):
    """The database is full: etcd takes no writes of keys; nothing was written."""


class EtcdPermissionError(EtcdError):
    """The etcd user may not do this (membership changes need root), or its credentials are wrong.

    Attributes:
        by_files: The credentials come from files of this worker's node; those of another worker may differ.
        remedy: What an operator can do about it, as the end of a sentence.
    """

    by_files: bool = False
    remedy: str = "give the profile a user with the root role: `etcdctl user grant-role NAME root`"


class KubernetesError(HandoffError):
    """The API server answered with an error, or no API server answered.

    Attributes:
        status: HTTP status of the answer; 0 when there was none.
        remedy: What an operator can do about it, as the end of a sentence; empty when that depends.
    """

    status: int = 0
    remedy: str = ""


class ObjectGoneError(KubernetesError):
    """404: the object does not exist.

    Attributes:
        certain: Every API server that was asked confirms it.
    """

    certain: bool = True


class KindGoneError(ObjectGoneError):
    """404: the API server does not serve this kind of object: the CustomResourceDefinition is missing there."""


class ConflictError(KubernetesError):
    """409: the object changed since it was read; read it again."""


class KubernetesPermissionError(KubernetesError):
    """401 or 403: the credentials are not accepted, or do not allow this."""

    remedy = "grant what deploy/rbac.yaml lists"


class UnauthenticatedError(KubernetesPermissionError):
    """401: the credentials are not accepted."""

    remedy = "renew the credentials of the kubeconfig"


class AdmissionError(KubernetesError):
    """An admission webhook or a policy of the Kubernetes cluster denies the request; the message is its own."""

    remedy = "change that webhook or policy, or let etcd-handoff's user pass"


class RejectedError(KubernetesError):
    """400 or 422: the API server does not accept the content."""


class ApiUnavailableError(KubernetesError):
    """No configured API server gave a usable answer; a patch may still have been stored."""

    may_have_changed = True
