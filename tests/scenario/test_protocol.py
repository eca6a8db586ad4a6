"""docs/protocol.md over real HTTP: which era, the order of the checks, the envelope, headers, edges,
and what each version gets to see. Streams, sessions, tasks: test_streams.py."""
import base64
import copy
import http.client
import json

from cases import case
from harness import Org, wait_for
from mcp_client import LEGACY, MODERN, PREFIX
from wire import Wire

VERSION, CAPS = PREFIX + "protocolVersion", PREFIX + "clientCapabilities"
HEADER_TOOL = "conf__test_x_mcp_header"
TEXT_TOOL = "conf__test_simple_text"
_shared = {}


def shared(rt):
    """One organization with both plugins for every case that changes nothing."""
    if _shared.get("rt") is not rt:
        _shared.update(rt=rt, org=Org(rt, conformance=True))
    return _shared["org"]


def wire(rt):
    return Wire(shared(rt))


def refused(a, status, code, has_id=None):
    assert a.status == status, (status, code, a)
    if code is not None:
        assert a.error and a.error["code"] == code, (status, code, a)
        assert a.error["message"] and "\n" not in a.error["message"], a
        if has_id is not None:
            assert ("id" in a.json) == has_id, a
    return a


# ---------------------------------------------------------------- the order of the checks
class Request:
    """A tools/call that passes all seventeen checks, and how to break each."""

    def __init__(self, w, narrow):
        self.w, self.narrow = w, narrow
        self.message, self.headers = w.modern_parts(
            "tools/call", {"name": HEADER_TOOL, "arguments": {"region": "eu"}},
            headers={"Mcp-Param-Region": "eu"})
        self.body = None

    def send(self):
        return self.w.post(self.body or self.message, self.headers)

    def use(self, method, **params):
        self.message["method"] = self.headers["Mcp-Method"] = method
        self.message["params"] = dict(params, _meta=self.message["params"]["_meta"])

    def break_1(self):
        self.headers["Host"] = "evil.example.com"

    def break_2(self):
        self.headers["Authorization"] = "Bearer fla_nothing"

    def break_3(self):
        self.message["params"]["padding"] = "x" * (5 << 20)

    def break_4(self):
        self.headers["Content-Type"] = "text/plain"

    def break_5(self):
        self.body = json.dumps(self.message).encode()[:-1]

    def break_6(self):
        self.message["params"]["_meta"][CAPS] = []

    def break_7(self):
        self.headers["MCP-Protocol-Version"] = "2026-07-29"

    def break_8(self):
        self.message["params"]["_meta"][VERSION] = "2031-01-01"
        self.headers["MCP-Protocol-Version"] = "2031-01-01"

    def break_9(self):
        self.headers["Mcp-Method"] = "tools/list"

    def break_10(self):
        self.headers["Mcp-Name"] = "conf__other"

    def break_11(self):
        self.message["params"]["_meta"][PREFIX + "logLevel"] = "loud"

    def break_12(self):
        self.use("tools/fly", **self.message["params"])

    def break_13(self):
        self.use("tasks/get", taskId="some-task")
        self.headers["Mcp-Name"] = "some-task"

    def break_14(self):
        self.headers["Mcp-Param-Region"] = "us"

    def break_15(self):
        self.message["params"]["arguments"] = []
        del self.headers["Mcp-Param-Region"]

    def break_16(self):
        self.headers["Authorization"] = "Bearer " + self.narrow

    def break_17(self):
        self.message["params"]["arguments"] = {"region": "eu", "more": 1}


STEPS = {1: (403, None), 2: (401, None), 3: (413, -32600), 4: (415, -32000), 5: (400, -32700),
         6: (400, -32602), 7: (400, -32020), 8: (400, -32022), 9: (400, -32020),
         10: (400, -32020), 11: (400, -32602), 12: (404, -32601), 13: (400, -32021),
         14: (400, -32020), 15: (200, -32602), 16: (403, None), 17: (200, None)}
# Both change the same part of the request, or the later one takes away what the earlier one checks.
APART = {(10, 12), (12, 13), (3, 5), (13, 14), (13, 15), (13, 16), (13, 17), (12, 14), (12, 15),
         (12, 17), (14, 15), (15, 17)}


@case(limit=60)
def the_first_check_that_fails_answers(rt):
    """Each of the 17 steps alone, and before each later one."""
    org = shared(rt)
    narrow = org.add_credential(tools=["files__*"])[1]
    w = Wire(org)
    assert not Request(w, narrow).send().result.get("isError")
    tried = 0
    for step, (status, code) in STEPS.items():
        for other in [None] + [s for s in STEPS if s > step]:
            if (step, other) in APART:
                continue
            r = Request(w, narrow)
            if other:
                getattr(r, "break_%d" % other)()
            getattr(r, "break_%d" % step)()
            a = r.send()
            assert a.status == status, "step %s with %s: %r" % (step, other, a)
            if code is not None:
                assert a.error and a.error["code"] == code, "step %s with %s: %r" % (step, other, a)
                assert ("id" in a.json) == (step > 5), a
            tried += 1
    assert tried > 120, tried


@case()
def what_the_checks_say(rt):
    w = wire(rt)
    narrow = shared(rt).add_credential(tools=["files__*"])[1]

    def answer(step):
        r = Request(w, narrow)
        getattr(r, "break_%d" % step)()
        return r.send()
    assert answer(2).headers["www-authenticate"].startswith("Bearer ")
    assert 'error="invalid_token"' in answer(2).headers["www-authenticate"]
    assert CAPS in answer(6).error["message"]
    assert answer(8).error["data"] == {"supported": [MODERN], "requested": "2031-01-01"}
    assert answer(13).error["data"] == {
        "requiredCapabilities": {"extensions": {PREFIX + "tasks": {}}}}
    assert "insufficient_scope" in answer(16).headers["www-authenticate"]
    result = answer(17).result
    assert result["isError"] and "/more" in result["content"][0]["text"], result
    assert result["content"][0]["text"].startswith("Not executed"), result
    a = w.send(headers={"Authorization": None}, body=b"{}")
    assert a.status == 401 and a.headers["www-authenticate"].startswith("Bearer "), a
    assert "error=" not in a.headers["www-authenticate"], a
    a = w.modern("tools/list", headers={"Origin": "http://evil.example.com"})
    assert a.status == 403, a


# ---------------------------------------------------------------- which era
@case()
def which_era_by_the_body(rt):
    w = wire(rt)
    init = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "w",
                                                                         "version": "1"}}
    assert "mcp-session-id" in w.legacy("initialize", init).headers
    refused(w.legacy("initialize", init, headers={"MCP-Protocol-Version": MODERN}), 400, -32020)
    refused(w.modern("initialize", init), 404, -32601)
    refused(w.modern("ping"), 404, -32601)
    refused(w.modern("logging/setLevel", {"level": "info"}), 404, -32601)
    a = refused(w.legacy("tools/list", {}, headers={"MCP-Protocol-Version": MODERN}), 400, -32602)
    assert VERSION in a.error["message"] and CAPS in a.error["message"], a
    refused(w.legacy("tools/list", {}, headers={"MCP-Protocol-Version": "2031-01-01"}), 400, -32602)
    a = w.legacy("notifications/cancelled", {"requestId": 1}, request_id=None,
                 headers={"MCP-Protocol-Version": MODERN})
    assert a.status == 202 and a.body == b"", a
    a = w.modern("notifications/cancelled", {"requestId": 1}, request_id=None)
    assert a.status == 202 and a.body == b"", a
    refused(w.post({"jsonrpc": "2.0", "id": 1, "result": {}},
                   {"MCP-Protocol-Version": MODERN}), 400, -32600)
    refused(w.legacy("tools/list"), 400, -32000)
    # One that needs the handshake cannot be spoken by a request of its own.
    refused(w.modern("tools/list", meta={VERSION: LEGACY},
                     headers={"MCP-Protocol-Version": LEGACY}), 400, -32022)
    # A legacy initialize is answered in the version asked for, or in the newest that we know.
    for asked in ("2024-11-05", "2025-03-26", "2025-06-18", LEGACY):
        assert w.legacy("initialize", dict(init, protocolVersion=asked)).result[
            "protocolVersion"] == asked
    for asked in (MODERN, "2031-01-01"):
        assert w.legacy("initialize", dict(init, protocolVersion=asked)).result[
            "protocolVersion"] == LEGACY


@case()
def one_connection_carries_both(rt):
    w = wire(rt)
    session = w.initialize()
    conn = http.client.HTTPConnection("127.0.0.1", rt.port, timeout=10)
    for turn in range(4):
        message, headers = (w.modern_parts("tools/list") if turn % 2 else
                            w.legacy_parts("tools/list", {}, session))
        conn.request("POST", "/mcp", json.dumps(message), w.headers(headers))
        answer = conn.getresponse()
        result = json.loads(answer.read())["result"]
        assert answer.status == 200 and ("resultType" in result) == bool(turn % 2), result
    conn.close()


# ---------------------------------------------------------------- the envelope
@case()
def the_envelope_is_strict(rt):
    w = wire(rt)
    message, headers = w.modern_parts("tools/list")

    def send(**changes):
        m = copy.deepcopy(message)
        for key, value in changes.items():
            if value is KeyError:
                del m[key]
            else:
                m[key] = value
        return w.post(m, headers)
    for good in (0, "", "x" * 255, -7, 2 ** 63 - 1, "1"):
        a = send(id=good)
        assert a.status == 200 and a.json["id"] == good and type(a.json["id"]) is type(good), a
    for bad in (None, 1.5, 1.0, True, [], {}, "x" * 256, 2 ** 63):
        refused(send(id=bad), 400, -32600, has_id=False)
    refused(send(jsonrpc="1.0"), 400, -32600)
    refused(send(jsonrpc=KeyError), 400, -32600)
    refused(send(Method="tools/call"), 400, -32600)
    refused(send(extra=1), 400, -32600)
    refused(send(method=7), 400, -32600)
    refused(send(params=[]), 400, -32600)
    assert send().status == 200
    for body, code in ((b"", -32700), (b"{", -32700), (b"nonsense", -32700), (b"7", -32600),
                       (b'"x"', -32600), (b"null", -32600), (b"\xff\xfe", -32700),
                       (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700),
                       (b'{"jsonrpc":"2.0","id":1,"method":"a\\u0000b"}', -32700),
                       (b"[]", -32600),
                       (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600)):
        refused(w.post(body, headers), 400, code, has_id=False)
    refused(w.modern("tools/list", {"deep": json.loads("[" * 70 + "]" * 70)}), 413, -32600)
    refused(w.modern("tools/list", {"many": [0] * 100001}), 413, -32600)
    # Unknown members are not ours to refuse.
    assert w.modern("tools/list", {"unknown": {"a": 1}}, meta={"x/y": [1]},
                    caps={"unknown": {}}).status == 200


# ---------------------------------------------------------------- headers
def b64(text):
    return "=?base64?%s?=" % base64.b64encode(text.encode()).decode()


@case()
def header_values(rt):
    w = wire(rt)
    call = {"name": TEXT_TOOL, "arguments": {}}

    def send(**headers):
        return w.modern("tools/call", call,
                        headers={k.replace("_", "-"): v for k, v in headers.items()})
    assert send().status == 200
    assert send(Mcp_Name=b64(TEXT_TOOL)).status == 200
    assert send(Mcp_Name="  %s\t" % TEXT_TOOL).status == 200
    assert send(Mcp_Name=None, mcp_NAME=TEXT_TOOL).status == 200
    for bad in (None, TEXT_TOOL.upper(), "", [TEXT_TOOL, TEXT_TOOL], b64(TEXT_TOOL)[:-2],
                "=?base64?%%%%?=", b64(TEXT_TOOL).replace("=?=", "?="), b64("other")):
        refused(send(Mcp_Name=bad), 400, -32020, has_id=True)
    for bad in (None, "Tools/Call", ["tools/call", "tools/call"], b64("tools/other")):
        refused(send(Mcp_Method=bad), 400, -32020, has_id=True)
    for bad in (None, [MODERN, MODERN], LEGACY):
        refused(send(MCP_Protocol_Version=bad), 400, -32020, has_id=True)
    # No session in this era: the header says nothing.
    a = send(Mcp_Session_Id="whatever")
    assert a.status == 200 and "mcp-session-id" not in a.headers, a
    region = {"name": HEADER_TOOL, "arguments": {"region": "Zürich"}}
    a = w.modern("tools/call", region, headers={"Mcp-Param-Region": b64("Zürich")})
    assert a.status == 200 and not a.result.get("isError"), a
    refused(w.modern("tools/call", region), 400, -32020)
    refused(w.modern("tools/call", region, headers={"Mcp-Param-Region": b64("zürich")}), 400,
            -32020)
    refused(w.modern("tools/call", dict(region, arguments={}),
                     headers={"Mcp-Param-Region": "eu"}), 400, -32020)


@case()
def content_types_and_accept(rt):
    w = wire(rt)
    for good in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        assert w.modern("tools/list", headers={"Content-Type": good}).status == 200
    for bad in (None, "text/plain", "application/jsonx", ["application/json"] * 2):
        refused(w.modern("tools/list", headers={"Content-Type": bad}), 415, -32000)
    call = {"name": "conf__test_tool_with_progress", "arguments": {}}
    token = {"progressToken": "t"}
    a = w.modern("tools/call", call, meta=token)
    assert a.headers["content-type"].startswith("text/event-stream") and len(a.notes) == 3, a
    assert a.headers["x-accel-buffering"] == "no", a
    assert not any(e.id for e in a.events), "modern events are not numbered"
    a = w.modern("tools/call", call, meta=token, headers={"Accept": "application/json"})
    assert a.headers["content-type"] == "application/json" and not a.result.get("isError"), a
    a = w.modern("tools/call", call, headers={"Accept": "text/event-stream"})
    assert a.headers["content-type"].startswith("text/event-stream") and a.result, a
    session = w.initialize()
    for bad in ("application/json", "text/event-stream", "text/html"):
        refused(w.legacy("tools/list", {}, session, headers={"Accept": bad}), 406, -32000)
    assert w.legacy("tools/list", {}, session, headers={"Accept": "*/*"}).status == 200


@case()
def verbs(rt):
    w = wire(rt)
    for verb in ("GET", "DELETE", "PUT", "PATCH", "OPTIONS"):
        a = w.send(verb, {"Content-Type": None})
        assert a.status == 405 and a.headers.get("allow") == "POST", (verb, a)
    a = w.send("GET", {"Content-Type": None}, path="/nothing")
    assert a.status == 404, a


# ---------------------------------------------------------------- methods
@case()
def discover_and_results_of_the_modern_era(rt):
    w = wire(rt)
    a = w.modern("server/discover", request_id=0)
    assert a.json["id"] == 0, a
    found = a.result
    assert found["supportedVersions"] == [MODERN], found
    assert found["capabilities"]["extensions"] == {PREFIX + "tasks": {}}, found
    assert found["capabilities"]["tools"] == {"listChanged": True}, found
    assert "tasks" not in found["capabilities"] and found["instructions"], found
    listed = w.modern("tools/list").result
    for result in (found, listed):
        assert result["resultType"] == "complete", result
        assert isinstance(result["ttlMs"], int) and result["ttlMs"] >= 0, result
        assert result["cacheScope"] == "private", result
        assert result["_meta"][PREFIX + "serverInfo"]["name"] == "flopinio", result
    called = w.modern("tools/call", {"name": TEXT_TOOL, "arguments": {}}).result
    assert called["resultType"] == "complete" and "ttlMs" not in called, called
    assert "cacheScope" not in called and PREFIX + "serverInfo" in called["_meta"], called
    # A client that says nothing of itself but what it must.
    assert w.modern("tools/list", meta={PREFIX + "clientInfo": None}).status == 200


@case()
def legacy_results_have_no_modern_members(rt):
    w = wire(rt)
    session = w.initialize()
    listed = w.legacy("tools/list", {}, session).result
    called = w.legacy("tools/call", {"name": TEXT_TOOL, "arguments": {}}, session).result
    for result in (listed, called):
        for key in ("resultType", "ttlMs", "cacheScope"):
            assert key not in result, result
        assert PREFIX + "serverInfo" not in result.get("_meta", {}), result
    assert w.legacy("ping", None, session).result == {}
    # A legacy client takes 404 for the end of its session.
    refused(w.legacy("tools/fly", {}, session), 200, -32601)
    refused(w.legacy("server/discover", {}, session), 200, -32601)


@case()
def calls_and_lists_that_cannot_be(rt):
    w = wire(rt)
    session = w.initialize()
    for ask in (lambda m, p: w.modern(m, p), lambda m, p: w.legacy(m, p, session)):
        refused(ask("tools/call", {"name": "no__such", "arguments": {}}), 200, -32602)
        refused(ask("tools/call", {"name": TEXT_TOOL, "arguments": []}), 200, -32602)
        refused(ask("tools/call", {"name": TEXT_TOOL, "arguments": "x"}), 200, -32602)
        refused(ask("tools/list", {"cursor": "made-up"}), 200, -32602)
        refused(ask("tools/list", {"cursor": ""}), 200, -32602)
        assert not ask("tools/call", {"name": TEXT_TOOL}).result.get("isError")
        result = ask("tools/call", {"name": "conf__greet", "arguments": {"name": 7}}).result
        assert result["isError"] and "/name" in result["content"][0]["text"], result
        result = ask("tools/call", {"name": "conf__greet", "arguments": {}}).result
        assert result["isError"] and "name" in result["content"][0]["text"], result
    refused(w.legacy("tools/call", {"arguments": {}}, session), 200, -32602)
    for method in ("resources/list", "prompts/list", "completion/complete", "tasks/list",
                   "tasks/result"):
        refused(w.modern(method), 404, -32601)
        refused(w.legacy(method, {}, session), 200, -32601)


@case()
def meta_that_is_not_well_formed(rt):
    w = wire(rt)
    call = {"name": TEXT_TOOL, "arguments": {}}
    for bad in ({}, [], None, 1.5, True):
        if bad is None:
            continue
        refused(w.modern("tools/call", call, meta={"progressToken": bad}), 400, -32602)
    for key, bad in ((PREFIX + "logLevel", "loud"), (PREFIX + "logLevel", 3),
                     ("dev.flopinio/idempotencyKey", ""),
                     ("dev.flopinio/idempotencyKey", "x" * 256),
                     ("dev.flopinio/idempotencyKey", 7),
                     ("dev.flopinio/justification", "x" * 4001),
                     ("dev.flopinio/justification", 7)):
        refused(w.modern("tools/call", call, meta={key: bad}), 400, -32602)
    for key, good in (("traceparent", "nonsense"), (PREFIX + "logLevel", "emergency"),
                      ("dev.flopinio/justification", "because"), ("progressToken", 0),
                      ("progressToken", "")):
        assert w.modern("tools/call", call, meta={key: good}).status == 200, (key, good)


@case()
def log_levels(rt):
    w = wire(rt)
    call = {"name": "conf__test_logging_tool", "arguments": {}}

    def logs(a):
        return [n["params"]["level"] for n in a.notes if n["method"] == "notifications/message"]
    assert logs(w.modern("tools/call", call)) == []
    assert logs(w.modern("tools/call", call, meta={PREFIX + "logLevel": "info"})) == ["info"]
    assert logs(w.modern("tools/call", call, meta={PREFIX + "logLevel": "debug"})) == ["info"]
    assert logs(w.modern("tools/call", call, meta={PREFIX + "logLevel": "warning"})) == []
    session = w.initialize()
    assert w.legacy("logging/setLevel", {"level": "info"}, session).result == {}
    assert logs(w.legacy("tools/call", call, session)) == ["info"]
    refused(w.legacy("logging/setLevel", {"level": "loud"}, session), 200, -32602)


# ---------------------------------------------------------------- what a version gets to see
SEES = {  # annotations, title + outputSchema, structuredContent
    "2024-11-05": (False, False, False), "2025-03-26": (True, False, False),
    "2025-06-18": (True, True, True), LEGACY: (True, True, True)}
OURS = {"card", "hasPreview", "isSlow"}


@case()
def what_a_version_gets_to_see(rt):
    org = shared(rt)
    org.write("seen.txt", "text\n")
    w = Wire(org)
    call = {"name": "files__read", "arguments": {"path": "seen.txt"}}
    for version, (annotations, title, structured) in SEES.items():
        session = w.initialize(version)
        tools = {t["name"]: t for t in w.legacy("tools/list", {}, session,
                                                version=version).result["tools"]}
        tool = tools["files__read"]
        assert ("annotations" in tool) == annotations, (version, tool)
        assert ("title" in tool) == title and ("outputSchema" in tool) == title, (version, tool)
        result = w.legacy("tools/call", call, session, version=version).result
        assert ("structuredContent" in result) == structured, (version, result)
        assert "audio" in json.dumps(w.legacy(
            "tools/call", {"name": "conf__test_audio_content", "arguments": {}}, session,
            version=version).result), version
        kind = w.legacy("tools/call", {"name": "conf__test_audio_content", "arguments": {}},
                        session, version=version).result["content"][0]["type"]
        assert kind == ("text" if version == "2024-11-05" else "audio"), (version, kind)
    listed = w.modern("tools/list").result["tools"]
    names = [t["name"] for t in listed]
    assert names[-2:] == ["approval_status", "approval_wait"], names
    assert names[:-2] == sorted(names[:-2]), names
    for t in listed:
        assert not OURS & set(t), t
        assert t["inputSchema"]["type"] == "object", t
        assert 1 <= len(t["name"]) <= 64 and t["name"].isascii(), t
    by_name = {t["name"]: t for t in listed}
    assert by_name["files__read"]["annotations"]["readOnlyHint"] is True
    assert by_name["files__write"]["annotations"]["readOnlyHint"] is False
    # Held tools take a reason; it is stripped before the tool sees the arguments.
    assert "outputSchema" in by_name["files__write"], by_name["files__write"]


@case()
def five_mebibytes_are_too_much(rt):
    w = wire(rt)
    a = refused(w.modern("tools/list", {"padding": "x" * (5 << 20)}), 413, -32600)
    assert a.error["message"] == "the body is too large", a
    assert w.modern("tools/list", {"padding": "x" * (3 << 20)}).status == 200


@case(limit=60)
def lists_come_in_pages(rt):
    """250 tools a page; a cursor is valid for the list that gave it out, as it was then."""
    org = Org(rt, files=False)
    for i in range(16):
        org.add_server("c%d" % i, "conformance", {})
    org.sync()
    w = Wire(org)
    first = w.modern("tools/list").result
    assert len(first["tools"]) == 250 and first["nextCursor"], len(first["tools"])
    second = w.modern("tools/list", {"cursor": first["nextCursor"]}).result
    names = [t["name"] for t in first["tools"] + second["tools"]]
    assert "nextCursor" not in second and len(names) == len(set(names)) == 16 * 16 + 2, len(names)
    assert second["cacheScope"] == first["cacheScope"], second
    org.control("POST", "/tools/c3__greet/quarantine")

    def is_other():
        return w.modern("tools/list", {"cursor": first["nextCursor"]}).error
    assert wait_for("the cursor to be refused", is_other)["code"] == -32602
    stranger = Wire(org, org.add_credential(tools=["c1__*"])[1])
    few = stranger.modern("tools/list").result
    assert len(few["tools"]) == 18 and "nextCursor" not in few, len(few["tools"])
