"""Credentials of a kubeconfig, read by the Kubernetes client's library, but never silently none.

If a credential plugin fails, the library logs that and goes on without a user. Here that is an error, and the next
request tries again. Files that the library writes meanwhile are removed at once.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio.config import kube_config
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.dateutil import parse_rfc3339
from kubernetes.aio.config.exec_provider import ExecProvider
from yaml import MarkedYAMLError

from etcd_handoff.errors import ApiUnavailableError, ConfigError
from etcd_handoff.kubernetes.credential_plugin import PluginError, run_plugin
from etcd_handoff.kubernetes.temporary_files import private_folder, written

CREDENTIALS: Final = (
    *("token", "tokenFile", "exec", "auth-provider", "username"),
    *("client-certificate", "client-certificate-data", "client-key", "client-key-data"),
)
"""Keys of a kubeconfig's user that identify it (client-go `clientcmd/api/v1/types.go`, AuthInfo)."""
CLUSTER_FILES: Final = ("certificate-authority",)
USER_FILES: Final = ("client-certificate", "client-key", "tokenFile")
"""Keys of a kubeconfig that name files, relative to the kubeconfig's folder."""
KEYS: Final = (
    *("clusters", "contexts", "users", "current-context", "context", "cluster", "user", "name", "value"),
    *("auth-provider", "config", "id-token", "refresh-token", "client-id", "client-secret", "idp-issuer-url"),
    *("exec", "command", "apiVersion"),
)
"""Keys that a message may name as missing. Any other text that the library names may be a secret."""
MISSING: Final = re.compile(r"Expected key (\S+) in |missing key '(\S+)'$")
"""How the library reports a missing key."""

kube_config.logger.setLevel(logging.CRITICAL)  # it logs the content of a kubeconfig; errors are raised here
_Base: Any = kube_config.KubeConfigLoader


class Loader(_Base):  # type: ignore[misc]  # the library's functions have no types
    """The library's loader, which reports missing credentials and when credentials end.

    Args:
        kubeconfig: The file.
        context: The context; empty for the current one.

    Attributes:
        ends: Wall-clock time in seconds at which the credentials end; None when that is not known.
    """

    ends: float | None = None

    def __init__(self, kubeconfig: Path, context: str) -> None:
        self._folder = kubeconfig.absolute().parent
        content = kube_config.KubeConfigMerger(str(kubeconfig)).config
        super().__init__(content, context or None, config_base_path=str(self._folder))

    def files(self) -> list[Path]:
        """Return the files that the context names."""
        named = [(self._cluster, key) for key in CLUSTER_FILES] + [(self._user, key) for key in USER_FILES]
        return [self._folder / section[key] for section, key in named if section and key in section]

    def set_active_context(self, context_name: str | None = None) -> None:
        """Set the context as the library does, but require the user that it names.

        Raises:
            ConfigError: There is no such user. The library would go on without one.
        """
        super().set_active_context(context_name)
        user = self._current_context["context"].safe_get("user")
        if user and self._user is None:
            raise ConfigError(f"there is no user {user!r}" if isinstance(user, str) else "its user is no name")

    def _set_config(self, client_configuration: Any) -> None:
        token = getattr(self, "token", "").strip()
        if token:
            self.token = token
        named = [key for key in CREDENTIALS if self._user and self._user.safe_get(key)]
        if named and token in ("", "Bearer") and not getattr(self, "cert_file", None):
            raise ApiUnavailableError(f"credentials cannot be had: {', '.join(named)} gave none")
        super()._set_config(client_configuration)

    async def _load_authentication(self) -> None:
        """Load the credentials as the library does, but separate a passing error from a permanent one.

        Raises:
            ApiUnavailableError: They cannot be had now.
        """
        try:
            await super()._load_authentication()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailableError(f"credentials cannot be had: {type(error).__name__}") from None
        except ConfigException as error:
            if self.provider is None:
                raise
            text = f"credentials cannot be had: {what_is_wrong(error)}"
            raise ApiUnavailableError(text) from None

    def _load_cluster_info(self) -> None:
        self._temp_file_path = str(private_folder())
        super()._load_cluster_info()

    async def load_from_exec_plugin(self) -> bool:
        """Run the credential plugin.

        Raises:
            ApiUnavailableError: It gave no credentials.
        """
        plugin = ExecProvider(self._user["exec"])
        name = Path(plugin.args[0]).name
        try:
            self._take(await run_plugin(plugin, self._folder))
        except PluginError as error:
            raise ApiUnavailableError(f"credentials cannot be had: plugin {name} {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            text = f"credentials cannot be had: plugin {name} answers something that is no ExecCredential"
            raise ApiUnavailableError(text) from None
        return True

    def _take(self, status: dict[str, Any]) -> None:
        """Take over the credentials of a plugin's answer. The TLS library reads certificates only from files."""
        token, certificate = status.get("token"), status.get("clientCertificateData")
        if not token and not certificate:
            raise PluginError("gave no token and no certificate")
        if token:
            self.token = f"Bearer {token.strip()}"
        if certificate:
            self.cert_file, self.key_file = written(certificate), written(status["clientKeyData"])
        if status.get("expirationTimestamp"):
            self.ends = parse_rfc3339(status["expirationTimestamp"]).timestamp()


def what_is_wrong(error: Exception) -> str:
    """Return what a kubeconfig lacks, in our words: the library and the YAML parser quote its content."""
    kind, note = type(error).__name__, ""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        note = f"no YAML at line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    elif isinstance(error, ssl.SSLError):
        note = f"a certificate or key in it cannot be read ({error.reason or 'no reason given'})"
    elif isinstance(error, OSError) and error.errno:
        note = os.strerror(error.errno)
    elif isinstance(error, ConfigException) and (match := MISSING.search(str(error))):
        key = match[1] or match[2]
        note = f"it lacks `{key}`" if key in KEYS else ""
    elif isinstance(error, ConfigException) and "File does not exist" in str(error):
        note = "it names a file that is not there"
    return f"{kind}{f': {note}' if note else ''}"
