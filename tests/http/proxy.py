"""Behind a proxy that is trusted: the audit names the client that the proxy names, whatever header
stands in front of it, and nobody whom the client names."""

from harness import Runtime
from peer import Peer
from test_limits import unknown_token

SWALLOWING = (b"X", b"A", b"C", b"T", b"Cook", b"X-", b"X-F", b"X-Forwarded-Fo", b"Sec-", b"Hos",
              b"X-Forwarded-", b"Fo", b"Vi", b"Forwarde")


def ask(port, lines):
    with Peer(port) as peer:
        peer.send(b"GET /api/v1/me HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " +
                  unknown_token().encode() + b"\r\n" + lines + b"\r\n")
        return peer.answer().status


def addresses(rt):
    return [r["leaf"].decode() for r in rt.sql(
        "SELECT leaf FROM audit_event WHERE kind = 'auth.failed' ORDER BY recorded_at, event_id")]


def check():
    with_proxy = Runtime(workers=1, trusted_proxies="127.0.0.1")
    try:
        for i, name in enumerate(SWALLOWING):
            assert ask(with_proxy.port, b"%s: y\r\nX-Forwarded-For: 203.0.113.%d\r\n"
                       % (name, i)) == 401
        # What the client itself wrote stands in front of what the proxy appended.
        assert ask(with_proxy.port, b"X-Forwarded-For: 198.51.100.1, 203.0.113.77\r\n") == 401
        assert ask(with_proxy.port, b"X-Forwarded-For: 198.51.100.1\r\n"
                   b"X-Forwarded-For: 203.0.113.78\r\n") == 401
        assert ask(with_proxy.port, b"") == 400  # a proxy that names no client
        leaves = addresses(with_proxy)
        wanted = ["203.0.113.%d" % i for i in list(range(len(SWALLOWING))) + [77, 78]]
        assert len(leaves) == len(wanted), leaves
        for leaf, address in zip(leaves, wanted):
            assert '"%s"' % address in leaf, (address, leaf)
    finally:
        with_proxy.remove()


def check_untrusted(rt):
    """Without such a proxy the header is the client's own, and nothing."""
    assert ask(rt.port, b"X-Forwarded-For: 203.0.113.9\r\n") == 401
    assert "203.0.113.9" not in "".join(addresses(rt)) and '"127.0.0.1"' in addresses(rt)[-1]
