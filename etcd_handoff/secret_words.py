"""Keep secrets out of what a process writes: those that it has read, and texts that look like one.

A gateway that reads a secret remembers it here, and the code that writes a log removes it again. So no code has to know
what a library puts into its errors.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

HIDDEN: Final = "[secret]"
SHORTEST: Final = 4
"""A shorter word would be removed from half of all texts, and guards nothing anyway."""
MOST_KNOWN: Final = 500
"""How many are remembered, the last ones: tokens are renewed for as long as a worker runs."""
LIKE_SECRETS: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # a JSON Web Token, as of ServiceAccounts and of etcd
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user and password in a URL
    r"|(?i:(?<=\bbearer )[^\s\"',;]+)",
    re.DOTALL,
)
_KNOWN: Final[OrderedDict[str, None]] = OrderedDict()


def remember(secret: str) -> None:
    """Let `without_secrets` remove this text from now on."""
    if len(secret) < SHORTEST:
        return
    _KNOWN[secret] = None
    _KNOWN.move_to_end(secret)
    while len(_KNOWN) > MOST_KNOWN:
        _KNOWN.popitem(last=False)


def without_secrets(text: str) -> str:
    """Return the text with `HIDDEN` in place of each secret."""
    for secret in sorted(_KNOWN, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(secret, HIDDEN)
    return LIKE_SECRETS.sub(HIDDEN, text)
