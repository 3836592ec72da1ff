"""Define the tables of a cluster profile for reaching its servers: etcd's members, and API servers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from etcd_handoff.config.fields import Endpoint, Location, Port, Seconds, Section, Text, once
from etcd_handoff.etcd.client_url import is_loopback


class EtcdProfile(Section):
    """`[clusters.<name>.etcd]`: how to reach the members.

    Attributes:
        endpoints: Client URLs, one per member; a member without one is asked at its advertised client URLs.
        ca_file: PEM file with the certificate authority of the members; left out, the system's are used for https.
        cert_file: PEM client certificate for mutual TLS, together with `key_file`.
        key_file: PEM key of the client certificate.
        tls_server_name: Name to expect in the members' certificates instead of the endpoint's host.
        username: etcd user, together with `password_file`. Membership changes need the root role.
        password_file: File whose first line is the password.
        call_timeout_seconds: Deadline of one call that only reads.
        change_timeout_seconds: Deadline of one call that changes something; etcd's own is 7 s.
        hash_timeout_seconds: Deadline of one hash of a member's whole keyspace, which takes seconds for each GB.
        snapshot_directory: Folder on the worker's node for snapshots taken before a removal.
        snapshots_kept: How many snapshots of a cluster stay in that folder; older ones are deleted.
    """

    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1), AfterValidator(once)]
    ca_file: Location | None = None
    cert_file: Location | None = None
    key_file: Location | None = None
    tls_server_name: Text | None = None
    username: Text | None = None
    password_file: Location | None = None
    call_timeout_seconds: Seconds = 1.0
    change_timeout_seconds: Seconds = 8.0
    hash_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    snapshot_directory: Location | None = None
    snapshots_kept: Annotated[int, Field(ge=1, le=1000)] = 5

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for one, other in (("cert_file", "key_file"), ("username", "password_file")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                present, missing = (one, other) if getattr(self, other) is None else (other, one)
                msg = f"{present} is given without {missing}; give both or neither"
                raise ValueError(msg)
        schemes = {url.partition("://")[0] for url in self.endpoints}
        if len(schemes) > 1:
            msg = "endpoints mix http and https; give one scheme for all"
            raise ValueError(msg)
        unused = [key for key in ("ca_file", "cert_file", "tls_server_name") if getattr(self, key)]
        if schemes == {"http"} and unused:
            msg = f"{', '.join(unused)} given with http endpoints; write https there, or leave it out"
            raise ValueError(msg)
        return self

    @property
    def names_own_member_alone(self) -> bool:
        """Whether the one endpoint is on the worker's own machine, as on k0s, and so leads to that node's member."""
        return len(self.endpoints) == 1 and is_loopback(self.endpoints[0])

    @property
    def secure(self) -> bool:
        """Whether the members are asked over TLS."""
        return self.endpoints[0].startswith("https://")


class KubernetesProfile(Section):
    """`[clusters.<name>.kubernetes]`: where the EtcdMember resources are.

    Attributes:
        kubeconfig: kubeconfig file; left out, the in-cluster configuration is used.
        contexts: Contexts to try in turn, one per API server. A context named like a member counts as the API
            server on that member's node: preferred by the worker there, tried last while that member departs.
        api_servers: Which API servers there are: those of the `contexts`, or `members`: one on the host of each
            member's peer URL, with the current context's credentials and authority.
        api_port: Port of the members' API servers; left out, that of the current context.
        try_timeout_seconds: Deadline of one request to one API server.
        manage_resources: Whether a watched cluster's members without an EtcdMember get one; left out, they do unless
            this is k0s's (`remover`, `sets_leave`), which makes them itself.
        sets_leave: Whether `spec.leave` of a member that has left becomes true, as k0s has it.
        optional: Whether EtcdMembers need not be installed: where they are not, nothing is recorded.
    """

    kubeconfig: Location | None = None
    contexts: Annotated[tuple[Text, ...], AfterValidator(once)] = ()
    api_servers: Literal["contexts", "members"] = "contexts"
    api_port: Port | None = None
    try_timeout_seconds: Seconds = 2.0
    manage_resources: bool | None = None
    sets_leave: bool = False
    optional: bool = False

    @model_validator(mode="after")
    def _contexts_need_a_file(self) -> Self:
        if self.contexts and self.kubeconfig is None:
            msg = "contexts are given without kubeconfig; name the file that has them"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _members_need_one_context(self) -> Self:
        if self.api_servers == "members" and (self.contexts or self.kubeconfig is None):
            msg = 'api_servers = "members" needs kubeconfig, and no contexts; correct one of them'
            raise ValueError(msg)
        if self.api_port is not None and self.api_servers != "members":
            msg = 'api_port is given without api_servers = "members"; add that, or leave it out'
            raise ValueError(msg)
        return self
