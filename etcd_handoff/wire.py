"""Define what all messages share: exact types, the forms of names and IDs, and readable errors.

Member and cluster IDs are lowercase hex without padding, as etcdctl and k0s print them: uint64 does not survive JSON
readers that use doubles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import ErrorDetails

HEX_ID: Final = "[0-9a-f]{1,16}"
MemberId = Annotated[str, StringConstraints(pattern=f"^{HEX_ID}$")]
CLUSTER_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
MEMBER_NAME: Final = r"^[^\s/\p{Cc}\p{Cf}][^/\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$"
"""Member names stand in workflow IDs and on pages: no slash, nothing that breaks a line or turns its direction."""
ClusterName = Annotated[str, StringConstraints(pattern=CLUSTER_NAME)]
PEER_URL: Final = r"^https?://[^\s/@?#,=\"'\\]+:[0-9]{1,5}$"
"""A peer URL has a port and no path (etcd `client/pkg/types/urls.go`, NewURLs), and none of ours has a user. It stands
in the value of `ETCD_INITIAL_CLUSTER`, so it has none of its separators."""
NEW_MEMBER_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
"""The name of a member that is to be added also stands there."""
NewMemberName = Annotated[str, StringConstraints(max_length=253, pattern=NEW_MEMBER_NAME)]
PeerUrl = Annotated[str, StringConstraints(max_length=300, pattern=PEER_URL)]
MemberName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=MEMBER_NAME)]


class WireModel(BaseModel):
    """Base of the messages between workers: immutable, exact types, unknown fields ignored.

    Workers of two versions run side by side during an update. So the additions of a newer one must not stop an older
    one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Request(WireModel):
    """Base of what people write: an unknown field is an error, since a misspelt one would silently be ignored."""

    model_config = ConfigDict(extra="forbid")


PATTERNS: Final = {
    CLUSTER_NAME: "give up to 63 letters, digits, '.', '_' and '-', a letter or digit first and last",
    NEW_MEMBER_NAME: "give letters, digits, '.', '_' and '-', a letter or digit first and last",
    PEER_URL: "give http:// or https://, host and port, and nothing after them",
    MEMBER_NAME: "give a member name or a hex ID: no '/', no control characters, no space at its start",
}
"""What a text should be that does not match, in words."""
LONGEST_KEY: Final = 60


def in_words(item: ErrorDetails) -> str:
    """Return what is wrong with one field."""
    pattern = str(item.get("ctx", {}).get("pattern"))
    return PATTERNS.get(pattern) or item["msg"].removeprefix("Value error, ")


def describe(error: ValidationError, say: Callable[[ErrorDetails], str] = in_words) -> list[str]:
    """Return one readable line for each wrong field: `member: Field required`; no value is repeated.

    Args:
        error: The error of pydantic.
        say: Returns what is wrong with a field, in words.
    """
    items = error.errors(include_url=False, include_input=False)
    lists = {item["loc"][:end] for item in items for end in range(len(item["loc"]))}
    return [
        f"{'.'.join(_shown(part) for part in item['loc']) or 'input'}: {say(item)}"
        for item in items
        # A list whose items are wrong also counts as empty, and a line on that would add nothing.
        if item["type"] != "too_short" or item["loc"] not in lists
    ]


def _shown(key: str | int) -> str:
    """Return a key as it may stand in a line, whatever was sent."""
    text = "".join(c if c.isprintable() else "?" for c in str(key))
    return text if len(text) <= LONGEST_KEY else f"{text[:LONGEST_KEY]}..."
