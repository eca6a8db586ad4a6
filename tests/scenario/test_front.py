"""What one caller can make a worker keep, refuse or forget for everybody else: legacy sessions and
their streams, subscriptions, bodies of senders that nobody knows."""
import base64
import contextlib
import os
import select
import signal
import socket
import threading
import time

from cases import case
from harness import Org, wait_for
from test_doubt import answer_lost
from test_recover import database_down
from wire import Wire

ONE = dict(workers=1, public_url="https://flopinio.example")
OLD = "2025-03-26"  # has batches
MB = 1 << 20


def get_again(w, session):
    """The GET stream's place is free, in the end."""
    def look():
        with w.get(session) as stream:
            return stream.status == 200
    return wait_for("the place to be free", look, 30)


def gauge(rt, name):
    """As it is now: workers say it once a second."""
    time.sleep(2.2)
    return rt.metric(name)


# ---------------------------------------------------------------- what is kept
@case(limit=90, **ONE)
def answers_of_batches_filled_a_worker(rt):
    """Each stayed for five minutes. A few of a session are kept, for a client that lost the end of its
    stream and comes back."""
    org = Org(rt)
    org.write("a.txt", "x" * 250000)
    w = Wire(org)
    session = w.initialize(OLD)
    headers = {"Mcp-Session-Id": session, "MCP-Protocol-Version": OLD}
    read = {"jsonrpc": "2.0", "method": "tools/call",
            "params": {"name": "files__read", "arguments": {"path": "a.txt"}}}

    def batch(first):
        a = w.post([dict(read, id=first + i) for i in range(3)], headers)
        assert a.status == 200 and a.result and len(a.body) > 750000, a.status
        return a.events[-1].id
    batch(0)
    before = gauge(rt, "allocated_memory_bytes")
    ids = [batch(3 + 3 * i) for i in range(14)]
    grown = gauge(rt, "allocated_memory_bytes") - before
    assert grown < 7 * MB, grown  # not 14 times 750 KB
    ping = {"jsonrpc": "2.0", "method": "ping"}
    a = w.post([dict(ping, id=100), dict(ping, id=101)], headers)
    first, last = [e.id for e in a.events if e.message]
    with w.get(session, {"Last-Event-ID": first}, OLD) as stream:
        assert stream.status == 200 and [m["id"] for m in stream.rest()] == [101]
    with w.get(session, {"Last-Event-ID": ids[0]}, OLD) as stream:
        assert stream.status == 400  # the oldest went


@case(**ONE)
def sessions_that_nobody_ended_stayed_for_ever(rt):
    org = Org(rt, files=False)
    w = Wire(org)
    sessions = [w.initialize() for _ in range(30)]
    time.sleep(1.2)  # workers say it once a second
    wait_for("the worker to forget them", lambda: rt.metric("http_sessions_known") <= 2, 20)
    rt.sql("UPDATE flopinio.mcp_session SET seen_at = now() - interval '1 hour'")

    def told():
        assert w.legacy("ping", None, sessions[7]).status == 200  # they go on
        return rt.sql("SELECT 1 FROM flopinio.mcp_session WHERE seen_at > now() - interval '1 minute'")
    wait_for("its row to be told of the use", told, 25, every=3)


@case(**ONE)
def a_session_ended_before_its_end_was_committed(rt):
    org = Org(rt, files=False)
    w = Wire(org)
    session = w.initialize()
    status = []
    with w.get(session) as stream:
        assert stream.status == 200
        other = rt.connect()
        other.autocommit = False
        with other.cursor() as cur:
            cur.execute("SELECT 1 FROM flopinio.mcp_session FOR UPDATE")
            ending = threading.Thread(target=lambda: status.append(w.delete(session).status))
            ending.start()
            wait_for("the DELETE to wait", lambda: rt.sql(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE "
                "'%%mcp_session%%' AND pid <> pg_backend_pid()"))
            # It may fail yet: nothing of the session has ended.
            assert w.legacy("ping", None, session).status == 200
            assert not status
            for _ in range(3):  # at most one of them is from before
                assert stream.next(comments=True), "the stream has ended"
            other.rollback()
        other.close()
        ending.join()
        assert status == [204] and stream.rest() == []
    assert w.legacy("ping", None, session).status == 404


# ---------------------------------------------------------------- the GET stream
@case(limit=60, **ONE)
def after_a_stop_the_get_stream_stayed_taken(rt):
    org = Org(rt, files=False)
    w = Wire(org)
    session = w.initialize()
    with w.get(session) as stream:
        assert stream.status == 200
        org.control("POST", "/stops", {"scope": "agent", "name": "bot", "reason": "look"})
        assert stream.rest() == []
    org.control("POST", "/stops/resume", {"scope": "agent", "name": "bot"})
    get_again(w, session)


@case(limit=90, **ONE)
def a_rolling_restart_kept_the_get_stream_taken(rt):
    org = Org(rt, files=False)
    w = Wire(org)
    session = w.initialize()
    with w.get(session) as stream:
        assert stream.status == 200
        old = rt.workers()
        os.kill(rt.process.pid, signal.SIGUSR2)
        assert stream.rest(40) == []
    wait_for("the old worker to go", lambda: not set(rt.workers()) & set(old), 40)
    assert rt.sql("SELECT 1 FROM flopinio.mcp_session WHERE stream_worker IS NOT NULL") == []
    get_again(w, session)


@case(limit=60, **ONE)
def streams_that_end_together_were_given_back_one_by_one(rt):
    """A worker that drains has seconds for the places of all its streams; and one that cannot be given
    back keeps none of the others."""
    org = Org(rt, files=False)
    w = Wire(org)
    sessions = [w.initialize() for _ in range(30)]
    rt.sql("CREATE SEQUENCE test_told; CREATE FUNCTION test_told() RETURNS trigger LANGUAGE plpgsql "
           "SECURITY DEFINER AS $$BEGIN PERFORM nextval('test_told'); RETURN NULL; END$$; "
           "CREATE FUNCTION test_stuck() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION "
           "'not this one'; END$$")
    try:
        with contextlib.ExitStack() as streams:
            for session in sessions:
                assert streams.enter_context(w.get(session)).status == 200
            rt.sql("CREATE TRIGGER test_told AFTER UPDATE OF stream_worker ON mcp_session FOR EACH "
                   "STATEMENT EXECUTE FUNCTION test_told()")
            stuck = rt.sql("SELECT min(encode(session_hash, 'hex')) AS h FROM mcp_session WHERE "
                           "stream_worker IS NOT NULL")[0]["h"]
            rt.sql("CREATE TRIGGER test_stuck BEFORE UPDATE OF stream_worker ON mcp_session FOR EACH "
                   "ROW WHEN (encode(OLD.session_hash, 'hex') = '%s') EXECUTE FUNCTION test_stuck()"
                   % stuck)
            org.control("POST", "/stops", {"scope": "agent", "name": "bot", "reason": "look"})
            taken = "SELECT encode(session_hash, 'hex') AS h FROM mcp_session WHERE stream_worker IS NOT NULL"
            wait_for("all but one", lambda: [r["h"] for r in rt.sql(taken)] == [stuck], 30)
            told = rt.sql("SELECT last_value FROM test_told")[0]["last_value"]
            assert told < 20, told
            rt.sql("DROP TRIGGER test_stuck ON mcp_session")
            wait_for("that one too", lambda: not rt.sql(taken), 30)
    finally:
        rt.sql("DROP FUNCTION test_told() CASCADE; DROP FUNCTION test_stuck() CASCADE; "
               "DROP SEQUENCE test_told")


def is_open_at_the_server(rt, port):
    """The worker has not closed its end of the connection from there yet."""
    wanted = ":%04X 0100007F:%04X " % (rt.port, port)
    with open("/proc/net/tcp") as f:
        return any(wanted in line and line.split()[3] in ("01", "08") for line in f)


@case(limit=90, breaks=True, **ONE)
def a_lost_database_kept_the_get_stream_taken_for_ever(rt):
    """The stream ends while there is nobody to tell; the worker lives on, and so did its claim."""
    org = Org(rt, files=False)
    w = Wire(org)
    session = w.initialize()
    stream = w.get(session)
    assert stream.status == 200
    port = stream.conn.sock.getsockname()[1]
    with database_down(rt):
        stream.cut()
        wait_for("the worker to see it", lambda: not is_open_at_the_server(rt, port))
    assert rt.workers()
    get_again(w, session)


@case(limit=90, **ONE)
def a_get_stream_in_doubt_was_taken_for_ever(rt):
    """Its place was taken, the answer is lost, the client is told 503: nobody has a stream."""
    org = Org(rt, files=False)
    w = Wire(org)
    session = w.initialize()
    status = []

    def ask():
        with w.get(session) as stream:
            status.append(stream.status)
    asking = threading.Thread(target=ask)
    with answer_lost(rt, rt.workers()[0], "SET stream_worker", asking.start, lambda: rt.sql(
            "SELECT 1 FROM mcp_session WHERE stream_worker IS NOT NULL"), table="mcp_session"):
        pass
    asking.join()
    assert status == [503], status
    get_again(w, session)


# ---------------------------------------------------------------- subscriptions, challenges
@case(limit=60, **ONE)
def one_agent_took_all_subscriptions(rt):
    org = Org(rt, files=False)
    w, other = Wire(org), Wire(org, org.add_credential()[1])
    wanted = {"notifications": {"toolsListChanged": True}}
    streams = [w.modern_stream("subscriptions/listen", wanted, request_id=i) for i in range(32)]
    try:
        assert all(s.message()["method"].endswith("acknowledged") for s in streams)
        a = w.modern("subscriptions/listen", wanted)
        assert a.status == 429 and "too many" in a.error["message"], a
        with other.modern_stream("subscriptions/listen", wanted) as stream:
            assert stream.message()["method"].endswith("acknowledged")
        streams.pop().cut()

        def again():
            with w.modern_stream("subscriptions/listen", wanted) as stream:
                return stream.status == 200
        wait_for("a place", again)
    finally:
        for s in streams:
            s.cut()


@case(limit=60, **ONE)
def challenges_say_what_is_there(rt):
    """A document that no route serves was named; and whoever is stopped was told to ask for scope."""
    org = Org(rt)
    w = Wire(org)
    a = w.send(headers={"Authorization": None}, body=b"{}")
    assert a.status == 401 and a.headers["www-authenticate"] == 'Bearer scope="mcp"', a
    narrow = Wire(org, org.add_credential(tools=["other__*"])[1])
    call = {"name": "files__write", "arguments": {"path": "b.txt", "content": "b"}}
    a = narrow.modern("tools/call", call)
    assert a.status == 403 and 'error="insufficient_scope"' in a.headers["www-authenticate"], a
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        w.modern("tools/call", call, headers={"Accept": "application/json"})))
    waiting.start()
    approval = org.wait_pending()
    org.control("POST", "/stops", {"scope": "agent", "name": "bot", "reason": "look"})
    waiting.join()
    a, = answers
    assert a.status == 403 and "stopped: look" in a.error["message"], a
    assert "www-authenticate" not in a.headers, a
    org.control("POST", "/stops/resume", {"scope": "agent", "name": "bot"})
    org.ann.reject(approval, "enough")


# ---------------------------------------------------------------- bodies of strangers
def stranger(rt, path, length, piece=b"", **headers):
    """Of the /api nobody hears a word of it who does not say who they are: this one lies."""
    if path.startswith("/api"):
        headers.setdefault("Authorization", "Bearer flp_nobody")
    s = socket.create_connection(("127.0.0.1", rt.port), 20)
    s.sendall(b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: %d\r\n\r\n" % (
        path.encode(), b"".join(b"%s: %s\r\n" % (k.replace("_", "-").encode(), v.encode())
                               for k, v in headers.items()), length))
    try:
        s.sendall(piece)
    except OSError:
        pass  # answered, and not read on
    return s


def status_of(s):
    return int((answer_of(s).split() or [0, 0])[1])


def b64(text):
    return base64.b64encode(text.encode())


def answer_of(s):
    found = b""
    try:
        while b"\r\n\r\n" not in found:
            piece = s.recv(4096)
            if not piece:
                break
            found += piece
    except ConnectionResetError:
        pass
    return found


@case(limit=90, **ONE)
def strangers_bodies_filled_a_worker(rt):
    """4 MiB for each of 20,000 connections, before anybody was asked who they are."""
    for path, most in (("/hooks/x/y/z", MB), ("/review/x", 16384), ("/oauth/slack", 1024)):
        with stranger(rt, path, most + 1) as s:
            assert b" 413 " in answer_of(s).split(b"\r\n")[0], path
    crowd = []
    piece = b" " * (4 * MB - 1)
    for _ in range(20):
        crowd.append(stranger(rt, "/api/v1/orgs", 4 * MB, piece))
    org = Org(rt, files=False)  # small requests of anybody are served meanwhile
    assert gauge(rt, "allocated_memory_bytes") < 200 * MB
    # Whoever took longest; a slow machine waits for others too long, too: 408.
    said = [answer_of(s) for s in select.select(crowd, [], [], 20)[0]]
    assert any(b" 503 " in a.split(b"\r\n")[0] and b"Retry-After:" in a for a in said), said
    assert all(not a or b" 503 " in a or b" 408 " in a for a in said), said
    for s in crowd:
        s.close()
    # There is room again; and what a stranger says is not even read.
    def room():
        with stranger(rt, "/api/v1/orgs", 4 * MB, piece + b"{") as s:
            return status_of(s) == 401
    wait_for("room", room, 20)
    org.adam.rest("GET", "/me")


HOOK = "/hooks/slack/acme/ops"
CARD = b"x" * 100000  # as much as a click on a large card brings


def hook(rt):
    """What a chat sends comes at once; it is read before anybody can say whether it is genuine: 401."""
    with stranger(rt, HOOK, len(CARD), CARD) as s:
        return status_of(s)


@case(limit=90, **ONE)
def slow_strangers_at_the_api_closed_the_door_for_chats(rt):
    """16 of them had the budget of all doors."""
    with stranger(rt, "/api/v1/orgs", 4 * MB, Authorization="") as s:
        assert status_of(s) == 401
    s = socket.create_connection(("127.0.0.1", rt.port), 20)
    with s:
        s.sendall(b"POST /api/v1/orgs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4194304\r\n\r\n")
        said = answer_of(s)  # nothing of the body was sent
        assert said.startswith(b"HTTP/1.1 401 ") and b"\r\nWWW-Authenticate: Bearer\r\n" in said, said
    crowd = [stranger(rt, "/api/v1/orgs", 4 * MB, b" " * (4 * MB - 1)) for _ in range(18)]
    assert hook(rt) == 401
    for s in crowd:
        s.close()


@case(limit=120, **ONE)
def slow_strangers_at_their_own_door_kept_chats_out(rt):
    """Bytes first, then places: who has taken longest goes, and nobody has more than some seconds."""
    crowd = [stranger(rt, HOOK, MB, b" " * (MB - 1)) for _ in range(72)]
    # Seven of these are too many for 64 MiB, which was the room of all doors.
    wait_for("those over the limit to be told", lambda: len(select.select(crowd, [], [], 0)[0]) >= 7, 20)
    assert hook(rt) == 401
    crowd += [stranger(rt, HOOK, 1000, b" ") for _ in range(400)]
    assert hook(rt) == 401
    began = time.monotonic()
    said = [status_of(s) for s in crowd]
    assert set(said) <= {503, 408, 0} and {503, 408} <= set(said), sorted(set(said))
    assert time.monotonic() - began < 40  # each of them waits 20 s for an answer that never comes
    for s in crowd:
        s.close()
    assert hook(rt) == 401


@case(limit=90, trusted_proxies="127.0.0.1", **ONE)
def a_flood_from_one_address_pushed_a_slow_sender_out(rt):
    """Its first bytes are older than all of the flood's; but the address that has most makes room."""
    def at(address, length, piece):
        return stranger(rt, "/api/v1/orgs", length, piece, X_Forwarded_For=address)
    honest = at("198.51.100.7", 40000, b" " * 30000)
    crowd = [at("203.0.113.9", 1000, b" ") for _ in range(400)]
    crowd += [at("2001:db8:1:2::%x" % i, 1000, b" ") for i in range(1, 300)]  # one host's, all of them
    honest.sendall(b" " * 10000)
    assert status_of(honest) == 401
    for s in crowd + [honest]:
        s.close()


@case(limit=60, **ONE)
def one_address_took_every_place_to_sign_in(rt):
    """Names that nobody has cost a hash, too: 66 of them, and nobody else signed in."""
    org = Org(rt, files=False)
    name = b64("nobody:wrong wrong wrong")
    crowd = [socket.create_connection(("127.0.0.1", rt.port), 20, ("127.0.0.2", 0))
             for _ in range(100)]
    for s in crowd:
        s.sendall(b"GET /api/v1/me HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic %s\r\n\r\n" % name)
    signed_in = rt.rest("GET", "/me", auth=(org.ann.name, org.ann.passphrase))
    assert signed_in["name"] == org.ann.name, signed_in
    said = [answer_of(s).split(b"\r\n")[0] for s in crowd]
    assert all(b" 401 " in a or b" 429 " in a for a in said), said
    assert any(b" 429 " in a for a in said)
    for s in crowd:
        s.close()
