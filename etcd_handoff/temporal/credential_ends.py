"""When credentials expire, including those for Temporal that this process's environment names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.envconfig import ClientConfig
from temporalio.service import TLSConfig

from etcd_handoff.certificate_ends import etcd_certificates, expiries_of, first_to_renew, kubeconfig_credentials
from etcd_handoff.certificate_expiry import Expiry, certificate_expiries, token_expiries

if TYPE_CHECKING:
    from etcd_handoff.config import ClusterProfile, Config


def all_expiries(profile: ClusterProfile) -> list[Expiry]:
    """Return the end of each certificate and token that an operation on the cluster needs."""
    return [*expiries_of(profile), *temporal_expiries()]


def first_ends(config: Config) -> dict[tuple[str, str], float]:
    """Return the first end of credentials that people renew, by cluster profile and server, in seconds since 1970."""
    expiries, of_temporal = dict[tuple[str, str], list[Expiry]](), temporal_expiries()
    for cluster, profile in config.clusters.items():
        expiries[cluster, "temporal"] = of_temporal
        expiries[cluster, "etcd"] = [*etcd_certificates(profile.etcd)]
        if profile.kubernetes is not None:
            expiries[cluster, "kubernetes"] = [*kubeconfig_credentials(profile.kubernetes)]
    firsts = {place: first_to_renew(found) for place, found in expiries.items()}
    return {place: first.timestamp() for place, first in firsts.items() if first is not None}


def temporal_expiries() -> list[Expiry]:
    """Return the ends of client certificate, CA and API key, or nothing if the environment is invalid."""
    try:
        settings = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError):
        return []
    found = [*token_expiries("Temporal's API key", settings.get("api_key") or "")]
    tls = settings.get("tls")
    if isinstance(tls, TLSConfig):
        for what, pem in (("client certificate", tls.client_cert), ("CA", tls.server_root_ca_cert)):
            found += certificate_expiries(f"Temporal's {what}", (pem or b"").decode(errors="replace"))
    return found
