"""RFC 8446 §4.2.7: the groups in which keys are agreed on, as Mozilla's intermediate profile lists them.

OpenSSL's own list holds finite fields of up to 8192 bits as well, in which a stranger who just names one makes a server
work for tens of milliseconds (CVE-2002-20001). Python's `ssl` can name one group or leave all, so OpenSSL's function is
called, on the context that OpenSSL itself says is ours.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
from typing import Final

from gateway.transports.channel_binding import ssl_pointer

LISTS: Final = (b"X25519MLKEM768:X25519:P-256:P-384", b"X25519:P-256:P-384")
"""The first that this OpenSSL knows; the hybrid group is there since 3.5."""

_SET_GROUPS_LIST: Final = 92
"""SSL_CTRL_SET_GROUPS_LIST"""


def restrict(context: ssl.SSLContext) -> bool:
    """Agree on these groups alone. Answers whether that was possible; else OpenSSL's own list stays."""
    file = getattr(_ssl, "__file__", None)
    if file is None:
        return False
    try:
        library = ctypes.CDLL(file)
        context_of, control = library.SSL_get_SSL_CTX, library.SSL_CTX_ctrl
    except (OSError, AttributeError):
        return False
    context_of.restype, context_of.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    control.restype = ctypes.c_long
    control.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    openssl_object = getattr(connection, "_sslobj", None)
    pointer = ssl_pointer(openssl_object) if openssl_object is not None else None
    own = context_of(pointer) if pointer is not None else None
    return own is not None and any(control(own, _SET_GROUPS_LIST, 0, names) == 1 for names in LISTS)
