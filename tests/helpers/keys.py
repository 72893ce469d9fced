"""A key of RFC 8032 with its signature, and passwords."""

from __future__ import annotations

import traceback

# RFC 8032, 7.1, the first test vector.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")


PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


SIGNATURE_OF_NOTHING = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)


OTHER = bytes(range(32))


PASSWORD = "geheimes Wört"


BAD_PASSWORD = "geheimes Wort\udcff"


def shown(error: BaseException) -> str:
    """Return everything that a traceback prints of an error, and everything that a logger may take of it."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
