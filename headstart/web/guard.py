"""Who may ask: the host that a request names, the page that sends it, and a token.

Any web page can send requests to a server on 127.0.0.1. A page that had its own name lead there
(DNS rebinding) is known by `Host`, one that posts across sites by `Origin`; whoever else is on the
machine lacks the token.
"""

from __future__ import annotations

import functools
import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from headstart.errors import HeadstartError
from headstart.web.asgi import App, Receive, Scope, Send, header, refuse

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ANY = "*"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def loopback_hosts(port: int) -> tuple[str, ...]:
    """The names under which a server on this machine is reached, each with its port."""
    return tuple(f"{name}:{port}" for name in LOOPBACK)


@functools.lru_cache(256)
def split_host(text: str) -> tuple[str, int | None]:
    """The name, in lower case and without brackets, and the port of `host:port` or `[::1]:port`.

    Raises:
        ValueError: It is no host.
    """
    bare = text.count(":") > 1 and not text.startswith("[")  # an IPv6 address by itself
    parts = urlsplit(f"//[{text}]" if bare else f"//{text}")
    if not parts.hostname or parts.netloc != (f"[{text}]" if bare else text) or "@" in text:
        raise ValueError(text)
    name = parts.hostname
    try:
        name = str(ipaddress.ip_address(name))
    except ValueError:
        if not all(one.isalnum() or one in "-._" for one in name) or not name.isascii():
            raise ValueError(text) from None
    return name, parts.port


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        hosts: What `Host` may be: `name` with any port, `name:port`, or `*` for anything.
        origins: Other sites whose pages may send requests, such as `https://example.org`; or `*`.
        token: What a request must bring as `Authorization: Bearer`; None asks for none.
        cookie: Name of a cookie that may bring the token instead.
        open_paths: Paths for which no token is needed; one that ends in `/` stands for all that
            begin so, but `/` itself for the first page alone.
    """

    hosts: tuple[str, ...]
    origins: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    cookie: str | None = None
    open_paths: frozenset[str] = frozenset()


class Guard:
    """Let through what `access` allows: else 403 for host and origin, 401 for the token.

    Raises:
        HeadstartError: A host or origin that is none, or an empty token.
    """

    def __init__(self, app: App, access: Access) -> None:
        self._app, self._access = app, access
        self._hosts = {_allowed_host(one) for one in access.hosts if one != ANY}
        self._any_host = ANY in access.hosts
        self._origins = {_origin_parts(plain_origin(one)) for one in access.origins if one != ANY}
        self._any_origin = ANY in access.origins
        self._token = None if access.token is None else _checked_token(access.token)
        self._beginnings = tuple(
            one for one in access.open_paths if one.endswith("/") and one != "/"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif not self._host_fits(scope):
            text = "The Host header names no host of this server."
            await refuse(scope, send, 403, text, receive=receive)
        elif not self._origin_fits(scope):
            text = "A page of another site may not send this request."
            await refuse(scope, send, 403, text, receive=receive)
        elif not self._token_fits(scope):
            text = "A token is needed: Authorization: Bearer TOKEN."
            asked = [(b"www-authenticate", b"Bearer")]
            await refuse(scope, send, 401, text, asked, receive)
        else:
            await self._app(scope, receive, send)

    def _host_fits(self, scope: Scope) -> bool:
        if self._any_host:
            return True
        try:
            name, port = split_host((header(scope, b"host") or b"").decode("ascii"))
        except ValueError:
            return False
        given = port or _PORTS.get(scope.get("scheme", "http"))
        return (name, None) in self._hosts or (name, given) in self._hosts

    def _origin_fits(self, scope: Scope) -> bool:
        """What changes something comes from no page, a page of ours, or an allowed one."""
        origin = header(scope, b"origin")
        reads = scope["type"] == "http" and scope["method"] in _SAFE
        if origin is None or reads or self._any_origin:
            return True
        try:
            parts = _origin_parts(origin.decode("ascii"))
            name, port = split_host((header(scope, b"host") or b"").decode("ascii"))
        except ValueError:  # "null", as of a sandboxed page or a file, is no site of ours
            return False
        # Behind a proxy that speaks TLS the page is https, and what comes here http.
        own = {(name, port or default) for default in (80, 443)}
        return parts in self._origins or parts[1:] in own

    def _token_fits(self, scope: Scope) -> bool:
        path = scope["path"]
        if self._token is None or path in self._access.open_paths:
            return True
        if self._beginnings and path.startswith(self._beginnings):
            return True
        given = [*_bearer(header(scope, b"authorization")), *self._from_cookies(scope)]
        return any(hmac.compare_digest(one, self._token) for one in given)

    def _from_cookies(self, scope: Scope) -> Iterable[bytes]:
        if self._access.cookie is None:
            return
        for key, value in scope["headers"]:
            if key == b"cookie":
                try:
                    found = SimpleCookie(value.decode("latin-1")).get(self._access.cookie)
                except CookieError:
                    continue
                if found is not None:
                    yield found.value.encode("latin-1", "replace")


def _bearer(value: bytes | None) -> Iterable[bytes]:
    scheme, _, given = (value or b"").partition(b" ")
    if scheme.lower() == b"bearer":
        yield given.strip()


def _checked_token(token: str) -> bytes:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise HeadstartError(
            "The token cannot be used. Expected letters, digits and signs of ASCII, without "
            "spaces; received something else or nothing. Choose another one."
        )
    return token.encode()


def _allowed_host(text: str) -> tuple[str, int | None]:
    try:
        return split_host(text)
    except ValueError:
        raise HeadstartError(
            f"'{text}' is no host. Expected a name such as example.org, with or without a port, "
            "or '*' for all. Write it like that."
        ) from None


def plain_origin(text: str) -> str:
    """An origin as browsers send it: in lower case, without the usual port and a slash at its end.

    Raises:
        HeadstartError: It is none.
    """
    if text == ANY:
        return text
    try:
        scheme, name, port = _origin_parts(text.removesuffix("/").lower())
    except ValueError:
        raise HeadstartError(
            f"'{text}' is no origin. Expected one such as https://example.org, or '*' for all. "
            "Write it like that."
        ) from None
    host = f"[{name}]" if ":" in name else name
    return f"{scheme}://{host}" if port == _PORTS[scheme] else f"{scheme}://{host}:{port}"


def _origin_parts(text: str) -> tuple[str, str, int]:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(text)
    name, port = split_host(parts.netloc)
    return parts.scheme, name, port or _PORTS[parts.scheme]
