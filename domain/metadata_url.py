"""client_ids that are URLs: of documents in which clients describe themselves
(draft-ietf-oauth-client-id-metadata-document, Section 3).

https with a path, "MUST NOT contain single-dot or double-dot path segments", no fragment, no user;
and no query either. Such ids are compared as text, so that whatever could be written in two ways
is not taken: no capital in the host, no broken escape.
"""

import re

# At most 255 characters: they stand in records, paths and on pages.
METADATA_URL = (
    r"https://[a-z0-9.-]{1,100}(:[1-9][0-9]{0,4})?"
    r"/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}){1,140}"
)
MAX_PORT = 65_535
_URL = re.compile(METADATA_URL)
_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)


def is_metadata_url(client_id: str) -> bool:
    """Tell whether a client_id is the URL of a document about its client."""
    found = _URL.fullmatch(client_id)
    if found is None or _DOT_SEGMENT.search(client_id[8:]):
        return False
    return found[1] is None or int(found[1][1:]) <= MAX_PORT


def host_of(url: str) -> str:
    """Return host and port of such a URL."""
    return url.removeprefix("https://").split("/", 1)[0]
