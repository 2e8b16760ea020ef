"""A logo as a ``data:`` URL: of a kind that browsers only ever draw, and small.

SVG is refused: it may hold scripts and references, and nobody would notice.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from types import MappingProxyType
from typing import Final

from tollbook.console.portal.errors import PortalRequestError

LOGO_MAX_BYTES: Final = 65_536
_STARTS: Final = MappingProxyType(
    {
        "image/png": (b"\x89PNG\r\n\x1a\n",),
        "image/jpeg": (b"\xff\xd8\xff",),
        "image/gif": (b"GIF87a", b"GIF89a"),
        "image/webp": (b"RIFF",),
    }
)
_WEBP: Final = b"WEBP"


def check_logo(url: str) -> None:
    """Refuse what is not a small picture of a kind that is allowed.

    Raises:
        PortalRequestError: says what is wrong.
    """
    head, comma, text = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if not comma or head != f"data:{media_type};base64" or media_type not in _STARTS:
        raise PortalRequestError("logo", "expected a data: URL of a PNG, JPEG, GIF or WebP")
    if len(text) > LOGO_MAX_BYTES * 4 // 3 + 4:
        raise PortalRequestError("logo", f"is larger than {LOGO_MAX_BYTES} bytes")
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PortalRequestError("logo", "is no base64") from error
    is_webp = media_type != "image/webp" or content[8:12] == _WEBP
    if not content.startswith(_STARTS[media_type]) or not is_webp:
        raise PortalRequestError("logo", f"does not begin as {media_type} does")
