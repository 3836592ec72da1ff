"""Health check of an image without curl: `ready.py URL [AUTHORITY]` ends with 0 if the URL answers with success.

AUTHORITY is the file with the certificate that the server's is checked against.
"""

import ssl
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

SECONDS = 4.0

url, *authority = sys.argv[1:]
try:
    context = ssl.create_default_context(cafile=authority[0]) if authority else None
    with urlopen(url, timeout=SECONDS, context=context) as answer:
        print(answer.read().decode())
except HTTPError as error:
    sys.exit(f"{url}: {error.code} {error.read().decode()}")
except OSError as error:
    sys.exit(f"{url}: {error}")
