"""What operators and administrators do: stop and resume, read the audit, list what an agent did,
describe an organization as a document and apply it."""
import base64
import http.client
import threading
import time

from cases import case
from harness import LONG, Org, Person, RestError, refused, unique, wait_for
from mcp_client import TASKS, Gone, McpError, McpHttp, McpWs, text_of

STANDING = """version: 1
rules:
  - name: greetings
    tools: [conf__greet, conf__slow_compute]
    effect: allow
    standing: true
  - name: reads
    tools: ["*"]
    effect: allow
"""


def stop(org, scope, name, who=None, **more):
    body = dict({"scope": scope, "name": name, "reason": "it behaves oddly"}, **more)
    return (who.rest if who else org.control)("POST", org.path("/stops") if who else "/stops", body)


def resume(org, scope, name, who=None):
    auth = {"auth": (who.name, who.passphrase)} if who else {"control": True}
    return org.rt.rest("POST", org.path("/stops/resume"), {"scope": scope, "name": name}, **auth)


WHY = "stopped: it behaves oddly"


def is_denied(result):
    return result.get("isError") and WHY in text_of(result)


def tries(agent, tool, arguments):
    """The result, or None when the call was cut off by a stop, or is denied because of one."""
    try:
        result = agent.call(tool, arguments)
    except McpError as e:  # it was under way when the stop came
        assert e.message == WHY, e
        return None
    if result.get("isError"):
        assert is_denied(result), result
        return None
    return result


class Reader(threading.Thread):
    """Reads as fast as it can over WebSocket, and connects again when it is cut off."""

    def __init__(self, rt, credential):
        super().__init__(daemon=True)
        self.rt, self.credential = rt, credential
        self.reads, self.denied, self.cuts, self.other = [], [], [], []
        self.is_over = False

    def run(self):
        while not self.is_over:
            try:
                with McpWs(self.rt, self.credential) as agent:
                    while not self.is_over:
                        result = tries(agent, "files__read", {"path": "a.txt"})
                        (self.reads if result else self.denied).append(time.monotonic())
                        time.sleep(0 if result else 0.01)
            except Gone as e:
                self.cuts.append((time.monotonic(), e.why))
            except (OSError, McpError, AssertionError) as e:
                self.other.append(repr(e))

    def end(self):
        self.is_over = True
        self.join(20)


# ---------------------------------------------------------------- stop
@case(limit=60)
def stop_within_a_second(rt):
    """Readers on every worker are refused and cut off within a second, and only those meant."""
    org = Org(rt)
    org.write("a.txt", "x")
    _, other = org.add_agent("other")
    readers = [Reader(rt, org.credential) for _ in range(4)]
    bystander = Reader(rt, other)
    for r in readers + [bystander]:
        r.start()
    wait_for("reads", lambda: all(len(r.reads) > 20 for r in readers + [bystander]), 20)
    stop(org, "agent", "bot", who=org.ann)
    set_at = time.monotonic()
    wait_for("refusals", lambda: all(len(r.denied) > 5 for r in readers), 5)
    many = len(bystander.reads)
    wait_for("the other agent's reads", lambda: len(bystander.reads) > many + 20)
    latest = max(max(r.reads) for r in readers)
    cut = max(r.cuts[0][0] for r in readers)
    print("last read %.3f s after the stop, last connection closed after %.3f s"
          % (latest - set_at, cut - set_at))
    assert latest < set_at + 1 and cut < set_at + 1, (latest - set_at, cut - set_at)
    assert all(len(r.cuts) == 1 and "it behaves oddly" in r.cuts[0][1] for r in readers), \
        [r.cuts for r in readers]
    assert not bystander.cuts and not bystander.denied
    with refused(403, "an approver may not resume calls"):
        resume(org, "agent", "bot", who=org.ann)
    resume(org, "agent", "bot", who=org.adam)
    counts = [len(r.reads) for r in readers]
    wait_for("reads again", lambda: all(len(r.reads) > n + 5 for r, n in zip(readers, counts)), 5)
    for r in readers + [bystander]:
        r.end()
    assert not any(r.other for r in readers + [bystander]), [r.other for r in readers]
    stopped = [leaf for leaf in org.audit(kind="call.denied") if leaf["data"]["why"] == "stopped"]
    # A call that was cut off has no row of its own.
    assert 0 <= sum(len(r.denied) for r in readers) - len(stopped) <= len(readers), len(stopped)
    assert [leaf["data"]["scope"] for leaf in org.audit(kind="stop.")] == ["agent", "agent"]


@case()
def stop_of_a_tool(rt):
    """A stop of a tool, a server, a person, a group or the organization covers just that."""
    org = Org(rt, conformance=True)
    org.write("a.txt", "x")
    with McpWs(rt, org.credential) as agent:
        def read():
            return tries(agent, "files__read", {"path": "a.txt"})
        for scope, name in (("tool", "files__read"), ("server", "files")):
            stop(org, scope, name)
            wait_for("refusal", lambda: not read(), 1)
            assert not agent.call("conf__test_simple_text").get("isError")
            assert resume(org, scope, name) == {"lifted": 1}
            wait_for("reads", read, 1)
        assert not agent.is_gone.is_set()
    for scope, name in (("person", org.olga.name), ("group", "ops"), ("org", org.name)):
        if scope == "group":
            org.control("PATCH", "/people/" + org.olga.name, {"groups": ["ops"]})
        with McpHttp(rt, org.credential) as agent:
            assert tries(agent, "files__read", {"path": "a.txt"})
            stop(org, scope, name)
            wait_for("refusal", lambda: not tries(agent, "files__read", {"path": "a.txt"}), 1)
            assert resume(org, scope, name) == {"lifted": 1}
    with refused(404, "nothing of that name is stopped"):
        resume(org, "org", org.name)
    for scope, name in (("tool", "files__nothing"), ("agent", "nobody"), ("server", "x"),
                        ("group", "x"), ("person", "x"), ("org", "x")):
        with refused(404, "nothing was stopped"):
            stop(org, scope, name)
    with refused(400, "'scope' is org, group"):
        stop(org, "planet", "x")
    with refused(400, "'reason'"):
        org.control("POST", "/stops", {"scope": "org"})
    with refused(403, "a member may not stop"):
        rt.rest("POST", org.path("/stops"), {"scope": "org", "reason": "x"},
                auth=(org.olga.name, org.olga.passphrase))
    assert org.control("GET", "/stops") == {"items": []}


@case()
def stop_freezes_deadlines(rt):
    """What is held keeps the time that it had; a vote counts, but nothing runs before resume."""
    org = Org(rt, hold="1s")
    args = {"path": "n.txt", "content": "new"}
    with McpHttp(rt, org.credential) as agent:
        assert "NOT" in text_of(agent.call("files__write", args)).upper()
        approval = org.wait_pending()
        # As if the time were nearly up.
        rt.sql("UPDATE approval SET expires_at = now() + interval '1500 milliseconds' "
               "WHERE approval_id = %s", approval)
        stop(org, "server", "files")
        frozen = org.row(approval)
        assert frozen["frozen_at"]
        time.sleep(2)  # well behind the old deadline
        assert org.state(approval) == "pending"
        assert org.ann.approve(approval)["state"] == "approved"
        assert is_denied(agent.call("files__write", args))
        assert org.state(approval) == "approved" and org.files() == []
        resume(org, "server", "files")
        row = org.row(approval)
        stood = (row["expires_at"] - frozen["expires_at"]).total_seconds()
        assert row["frozen_at"] is None and 2 <= stood < 4, stood
        wait_for("the write", lambda: tries(agent, "files__write", args), 2)
        org.wait_state(approval, "succeeded")
        assert org.read("n.txt") == "new"

        # And one that nobody decides expires when its time has run.
        agent.call("files__write", dict(args, path="m.txt"))
        late = org.wait_pending()
        rt.sql("UPDATE approval SET expires_at = now() + interval '700 milliseconds' "
               "WHERE approval_id = %s", late)
        stop(org, "org", org.name, **{"for": "1s"})
        time.sleep(0.9)
        assert org.state(late) == "pending"
        org.wait_state(late, "expired", timeout=5)
        assert org.files() == ["n.txt"]


@case()
def stop_for_a_time(rt):
    """--for runs out by itself: reads again, the clock in the audit, nothing left to resume."""
    org = Org(rt)
    org.write("a.txt", "x")
    with McpHttp(rt, org.credential) as agent:
        def refused_now():
            return not tries(agent, "files__read", {"path": "a.txt"})
        made = stop(org, "agent", "bot", **{"for": "1s"})
        wait_for("refusal", refused_now, 1)
        assert org.control("GET", "/stops")["items"][0]["until"]
        wait_for("reads again", lambda: not refused_now(), 3)
        lifted = wait_for("the audit row", lambda: org.audit(kind="stop.lifted"), 3)
        assert [(x["subject"]["id"], x["data"]["by"]) for x in lifted] == [(made["id"], "the clock")]
        assert org.control("GET", "/stops") == {"items": []}
        with refused(404):
            resume(org, "agent", "bot")
        assert len(org.audit(kind="stop.")) == 2


@case()
def stop_holds_tasks(rt):
    """A task that is approved while it is stopped runs after resume, once, by itself."""
    org = Org(rt, policy=STANDING.replace("standing: true", "").replace("allow\n", "ask\n", 1),
              files=False, conformance=True)
    for name in ("conf__greet", "conf__slow_compute"):
        org.accept(name, effects="write")
    with McpHttp(rt, org.credential, modern=True, caps=TASKS) as agent:
        task = agent.call("conf__slow_compute", {"seconds": 0.1})
        assert task.get("task") or task.get("taskId"), task
        approval = org.wait_pending()
        stop(org, "tool", "conf__slow_compute")
        org.ann.approve(approval)
        time.sleep(1)
        row = org.row(approval)
        assert row["state"] == "approved" and row["frozen_at"] and not row["fence"], row
        resume(org, "tool", "conf__slow_compute")
        org.wait_state(approval, "succeeded")
        assert org.kinds(approval).count("approval.dispatched") == 1


@case()
def stop_lists_what_is_in_flight(rt):
    """What was sent before the stop is in its answer; a read that ran then gives nothing away."""
    org = Org(rt, policy=STANDING, files=False, conformance=True)
    org.accept("conf__slow_compute", effects="write")
    with McpHttp(rt, org.credential) as agent, McpHttp(rt, org.credential) as reader:
        write = agent.call_start("conf__slow_compute", {"seconds": 1})
        wait_for("dispatch", lambda: [r for r in org.rows() if r["state"] == "dispatched"])
        read = reader.call_start("conf__test_reconnection")
        time.sleep(0.1)
        made = stop(org, "server", "conf")
        row = org.rows()[0]
        assert [(c["id"], c["tool"], c["agent"]) for c in made["in_flight"]] == \
            [(row["approval_id"], "conf__slow_compute", "bot")], made
        assert is_denied(read.wait())
        assert "Computed" in text_of(write.wait())
        org.wait_state(row["approval_id"], "succeeded")
    leaf = org.audit(kind="call.read")[-1]
    assert leaf["data"]["withheld"] == "stopped: it behaves oddly", leaf


@case(limit=90, workers=3)
def nothing_is_sent_behind_a_stop(rt):
    """Eight callers write without asking; behind the stop's answer not one more is sent."""
    org = Org(rt, policy=STANDING, files=False, conformance=True)
    org.accept("conf__greet", effects="write")
    names = ["a%d" % i for i in range(8)]
    credentials = [org.add_agent(n)[1] for n in names]
    rounds, is_over = [0] * 8, []

    def work(i):
        with McpHttp(rt, credentials[i]) as agent:
            while not is_over:
                if tries(agent, "conf__greet", {"name": "n%d" % rounds[i]}):
                    rounds[i] += 1
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(8)]
    for t in threads:
        t.start()

    def sent():
        return {r["approval_id"] for r in rt.sql(
            "SELECT approval_id FROM approval WHERE organization_id = %s AND dispatched_at IS NOT "
            "NULL", org.id)}
    for scope, name in [("org", org.name), ("tool", "conf__greet"), ("server", "conf")] * 2:
        before = list(rounds)
        wait_for("writes", lambda: all(n > b + 3 for n, b in zip(rounds, before)), 20)
        stop(org, scope, name)
        at_the_stop = sent()
        time.sleep(0.5)
        assert sent() == at_the_stop, "%d were sent behind the stop" % len(sent() - at_the_stop)
        resume(org, scope, name)
    is_over.append(True)
    for t in threads:
        t.join(20)
    print("%d writes" % len(sent()))


@case(limit=90, workers=3)
def stops_wait_in_no_circle(rt):
    """Stops, resumes, changes of people, tools and policy among writes: no deadlock, no refusal."""
    org = Org(rt, policy=STANDING, files=False, conformance=True)
    for name in ("conf__greet", "conf__test_x_mcp_header"):
        org.accept(name, effects="write")
    credentials = [org.add_agent("a%d" % i)[1] for i in range(6)]
    org.apply(STANDING + "# 0\n")
    is_over, problems, counts = [], [], [0] * 9

    def until_over(i, act):
        try:
            while not is_over:
                act(counts[i])
                counts[i] += 1
        except BaseException as e:
            problems.append(e)
            raise

    def writer(i):
        agent = McpHttp(rt, credentials[i], modern=True)
        until_over(i, lambda n: tries(agent, "conf__greet", {"name": "%d" % n}))
    acts = [lambda n: org.control("PATCH", "/people/" + org.olga.name,
                                  {"groups": ["ops"][:n % 2]}),
            lambda n: org.accept("conf__test_x_mcp_header", effects=("read", "write")[n % 2]),
            lambda n: org.apply(STANDING + "# %d\n" % n)]
    threads = [threading.Thread(target=writer, args=(i,), daemon=True) for i in range(6)]
    threads += [threading.Thread(target=until_over, args=(6 + i, act), daemon=True)
                for i, act in enumerate(acts)]
    before = deadlocks(rt)
    for t in threads:
        t.start()
    longest = 0
    for n in range(24):
        scope, name = (("group", "ops"), ("org", org.name), ("agent", "a%d" % (n % 6)))[n % 3]
        from_ = time.monotonic()
        stop(org, scope, name)
        longest = max(longest, time.monotonic() - from_)
        time.sleep(0.05)
        resume(org, scope, name)
    at_last = list(counts)
    wait_for("everybody to go on", lambda: all(n > m for n, m in zip(counts, at_last)) or problems)
    is_over.append(True)
    for t in threads:
        t.join(20)
    print("longest stop %.3f s; done: %s" % (longest, counts))
    assert not problems, problems
    assert deadlocks(rt) == before


def deadlocks(rt):
    return rt.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'flopinio'")[0]["deadlocks"]


@case()
def stop_of_a_group_takes_new_members(rt):
    """Whoever joins a stopped group is stopped from then on, whoever leaves it is not."""
    org = Org(rt, hold="1s")
    with McpHttp(rt, org.credential) as agent:
        agent.call("files__write", {"path": "n.txt", "content": "new"})
        approval = org.wait_pending()
        stop(org, "group", "ops")
        assert org.row(approval)["frozen_at"] is None
        org.control("PATCH", "/people/" + org.olga.name, {"groups": ["ops"]})
        assert org.row(approval)["frozen_at"]
        org.control("PATCH", "/people/" + org.olga.name, {"groups": []})
        assert org.row(approval)["frozen_at"] is None


# ---------------------------------------------------------------- the audit
@case()
def audit_list(rt):
    """Filters, both orders, pages by cursor; who may read it."""
    org = Org(rt)
    org.write("a.txt", "x")
    with McpHttp(rt, org.credential) as agent:
        for _ in range(7):
            agent.call("files__read", {"path": "a.txt"})
    stop(org, "agent", "bot", who=org.ann)

    def items(query):
        return org.control("GET", "/audit" + query)["items"]
    everything = [x["leaf"] for x in items("?limit=1000")]
    assert everything == org.audit()
    assert [x["leaf"] for x in items("?limit=1000&order=newest")] == everything[::-1]
    for step, order in ((1, "oldest"), (4, "oldest"), (5, "newest")):
        paged, after = [], ""
        while True:
            page = items("?limit=%d&order=%s%s" % (step, order, after))
            if not page:
                break
            paged += [x["leaf"] for x in page]
            after = "&after=" + page[-1]["cursor"]
        assert paged == (everything if order == "oldest" else everything[::-1])
    reads = items("?kind=call.read")
    assert len(reads) == 7 and all(x["meaning"] == "an allowed read ran" for x in reads)
    assert len(items("?actor=bot&kind=call.")) == 7
    assert len(items("?actor=agent%3Abot")) == 7
    assert [x["kind"] for x in items("?actor=" + org.ann.name)] == ["stop.set"]
    assert all(x["leaf"]["actor"]["kind"] == "operator" for x in items("?actor=operator"))
    assert {x["kind"] for x in items("?subject=stop")} == {"stop.set"}
    assert len(items("?since=1h")) == min(100, len(everything)) and items("?until=1h") == []
    with refused(404, "no person or agent of that name"):
        items("?actor=zoe")
    with refused(400, "cursor"):
        items("?after=17")
    with refused(403, "an approver may not read the audit"):
        org.ann.rest("GET", org.path("/audit"))
    with refused(403, "control socket"):
        org.adam.rest("GET", "/audit")
    assert "runtime.started" in {x["kind"] for x in rt.control("GET", "/audit")["items"]}


@case()
def audit_follow(rt):
    """A follower misses nothing that a long transaction, begun earlier, commits later."""
    org = Org(rt, files=False)
    db = rt.connect()
    db.autocommit = False
    late = "01900000-0000-7000-8000-000000000001"
    with db.cursor() as cur:
        cur.execute("SELECT now()")  # its rows will carry this time
    for i in range(3):
        org.control("POST", "/groups", {"name": "g%d" % i})

    def follow(after):
        return org.control("GET", "/audit?limit=1000&follow=true" +
                           ("&after=" + after if after else ""))["items"]
    seen = follow("")
    with db.cursor() as cur:
        cur.execute("INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, "
                    "subject_kind, leaf) VALUES (%s, %s, 'group.changed', 'system', 'group', '{}')",
                    (org.id, late))
    db.commit()
    db.close()

    def all_seen():
        seen.extend(follow(seen[-1]["cursor"] if seen else ""))
        return len(seen) >= len(org.audit())
    wait_for("the follower to be done", all_seen)
    ids = [x["cursor"].split(".")[1] for x in seen]
    assert late in ids and len(ids) == len(set(ids)) == len(org.audit())
    assert [x["kind"] for x in seen[-3:]] == ["group.created"] * 3  # each behind the late one


@case(limit=60)
def audit_export(rt):
    """The export is the database's leaf bytes, line by line, also over many pages."""
    org = Org(rt, files=False)
    rt.sql("INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, subject_kind, "
           "leaf) SELECT %s, gen_random_uuid(), 'group.changed', 'system', 'group', "
           "convert_to('{\"n\":' || n || ',\"pad\":\"' || repeat('x', 1000) || '\"}', 'UTF8') "
           "FROM generate_series(1, 5000) n", org.id)

    def export(query=""):
        connection = http.client.HTTPConnection("127.0.0.1", rt.port, timeout=30)
        pair = base64.b64encode(("%s:%s" % (org.adam.name, org.adam.passphrase)).encode()).decode()
        connection.request("GET", "/api/v1" + org.path("/audit/export" + query),
                           headers={"Authorization": "Basic " + pair})
        answer = connection.getresponse()
        return answer.getheader("Content-Type"), answer.read()
    kind, body = export()
    rows = [r["leaf"] for r in rt.sql("SELECT leaf FROM audit_event WHERE organization_id = %s "
                                      "ORDER BY recorded_at, event_id", org.id)]
    lines = body.split(b"\n")
    assert kind == "application/x-ndjson" and lines.pop() == b""
    # What signing in for the export itself wrote stands behind the rest.
    assert len(lines) > 5000 and lines == rows[:len(lines)] and len(rows) - len(lines) <= 1
    _, some = export("?kind=organization.")
    assert some.splitlines() == [r for r in rows if b'"kind":"organization.' in r]


# ---------------------------------------------------------------- incident
@case(limit=60)
def incident_is_complete(rt):
    """Every held, permitted and decided call of the agent since then, in words, and only its own."""
    org = Org(rt, hold="1s", conformance=True, policy=STANDING + """  - name: writes
    tools: ["files__write", "files__delete"]
    effect: ask
""")
    org.accept("conf__greet", effects="write")
    org.write("a.txt", "x")
    _, other = org.add_agent("other")

    def incident(query="?agent=bot&since=1h", who=None):
        path = org.path("/incident" + query)
        return who.rest("GET", path) if who else rt.control("GET", path)
    with McpHttp(rt, org.credential) as agent, McpHttp(rt, other) as stranger:
        agent.call("files__read", {"path": "a.txt"})
        agent.call("files__read", {"path": "a.txt"})
        agent.call("files__move", {"from": "a.txt", "to": "b.txt"})  # no rule: denied
        agent.call("conf__greet", {"name": "Zoe"})
        call = agent.call_start("files__write", {"path": "w.txt", "content": "1"})
        done = org.wait_pending()
        org.ann.approve(done)
        call.wait()
        call = agent.call_start("files__delete", {"path": "a.txt"})
        rejected = org.wait_pending()
        org.bob.reject(rejected, "keep it")
        call.wait()
        agent.call("files__write", {"path": "waiting.txt", "content": "1"})
        waiting = org.wait_pending()
        stranger.call("conf__greet", {"name": "Yves"})
        said = incident()
    greeting, *rest = said["effects"]
    assert (said["reads"], said["denied"], said["waiting"]) == (2, 1, 1), said
    assert greeting["tool"] == "conf__greet" and greeting["decided_by"] is None
    assert greeting["rule"] == "greetings" and greeting["was_sent"]
    assert [(e["approval"], e["says"], e["decided_by"], e["was_sent"]) for e in rest] == [
        (done, "done", org.ann.name, True), (rejected, "rejected", org.bob.name, False),
        (waiting, "waiting", None, False)], rest
    assert "w.txt" in rest[0]["sentence"] and "a.txt" in rest[1]["sentence"], rest
    assert rest[1]["reason"] == "keep it"
    assert incident(who=org.ann) == said
    assert incident(who=org.olga)["effects"] == said["effects"]  # their own agent
    assert [e["tool"] for e in incident("?agent=other")["effects"]] == ["conf__greet"]
    for query in ("?agent=nobody", "?agent=other"):
        with refused(404, "no such agent"):
            org.control("PATCH", "/agents/other", {"owner": org.adam.name})
            incident(query, who=org.olga)
    with refused(400, "?agent=NAME"):
        incident("")

    # However many there are: they come in pages inside.
    rt.sql("INSERT INTO approval SELECT (jsonb_populate_record(a, jsonb_build_object('approval_id', "
           "gen_random_uuid(), 'idempotency_key', NULL, 'task_id', NULL, 'created_at', a.created_at "
           "+ n * interval '1 microsecond'))).* FROM approval a, generate_series(1, 333) n WHERE "
           "a.approval_id = %s", waiting)
    many = incident()
    ids = [e["approval"] for e in many["effects"]]
    assert len(ids) == len(set(ids)) == 4 + 333 and many["waiting"] == 334, len(ids)
    # Their arguments are sealed for another row: not shown as if they were theirs.
    rt.sql("DELETE FROM approval WHERE approval_id = ANY(%s::uuid[])", ids[4:])


# ---------------------------------------------------------------- apply and export
def apply(org, document, who=None, **more):
    auth = {"auth": (who.name, who.passphrase)} if who else {"control": True}
    return org.rt.rest("POST", org.path("/apply"), dict(document, **more), timeout=60, **auth)


def export(org):
    return org.control("GET", "/export")


def told(answer):
    return [(c["change"], c["what"], c["name"]) for c in answer["changes"]]


class Empty(Org):
    """An organization with nobody and nothing in it."""

    def __init__(self, rt):  # pylint: disable=super-init-not-called
        self.rt, self.name = rt, unique("e")
        rt.control("POST", "/orgs", {"name": self.name, "title": self.name})
        self.id = rt.sql("SELECT organization_id FROM organization WHERE name = %s",
                         self.name)[0]["organization_id"]
        Org.made.append(self)


def accepted(org):
    tools = org.control("GET", "/tools")["items"]
    assert all(t["state"] in ("accepted", "gone") for t in tools)
    return len([t for t in tools if t["state"] == "accepted"])


@case(limit=60)
def apply_round_trip(rt):
    """What one organization exports, another applies; then both are the same, and work."""
    org = Org(rt, conformance=True)
    org.control("PATCH", "/agents/bot", {"labels": {"team": "ops", "a": "b"}})
    org.control("POST", "/servers/conf/refresh")
    org.accept("files__write", secrets=["/content"])
    org.control("POST", "/tools/conf__greet/quarantine")
    document = export(org)
    assert [t["name"] for t in document["tools"]] == sorted(t["name"] for t in document["tools"])
    assert len(document["tools"]) == 9 + 16 - 1
    assert apply(org, document) == {"changes": [], "applied": True, "findings": []}

    copy = Empty(rt)
    dry = apply(copy, document, dry_run=True)
    assert not dry["applied"] and len(dry["changes"]) == 4 + 1 + 1 + 2 + 24 + 1, dry
    assert export(copy)["people"] == [] and len(copy.audit()) == 1
    assert apply(copy, document)["changes"] == dry["changes"]
    assert apply(copy, document, prune=True)["changes"] == []
    assert export(copy) == document
    wait_for("the pins", lambda: len([t for t in copy.control("GET", "/tools")["items"]
                                      if t["state"] == "accepted"]) == 24, 20)
    assert copy.control("GET", "/tools/conf__greet")["state"] == "new"
    assert export(copy) == document
    _, credential = copy.add_credential(agent="bot")
    with McpHttp(rt, credential) as agent:
        call = agent.call_start("files__write", {"path": "n.txt", "content": "1"})
        approval = copy.wait_pending()
        assert copy.control("GET", "/tools/files__write")["secrets"] == ["/content"]
        Person(copy, "ann", rt.people["ann"]).approve(approval)
        assert not call.wait().get("isError")
    kinds = [leaf["kind"] for leaf in copy.audit()]
    for kind, count in (("member.set", 4), ("group.created", 1), ("agent.created", 1),
                        ("server.created", 2), ("tool.accepted", 24), ("policy.applied", 1)):
        assert kinds.count(kind) == count, (kind, kinds.count(kind))


@case(limit=240)
def apply_a_large_organization(rt):
    """30 teams, 400 agents, 2,000 tools in under 60 s; a second run changes nothing."""
    small = Org(rt, files=False, conformance=True)
    pins = export(small)["tools"]
    assert len(pins) == 16
    people = ["%s-p%d" % (small.name, i) for i in range(120)]
    document = {
        "people": [{"name": n, "display_name": n.upper(), "email": n + "@example.com",
                    "role": "owner" if i == 0 else "approver" if i % 4 else "member"}
                   for i, n in enumerate(people)],
        "groups": [{"name": "team-%d" % i, "title": "Team %d" % i,
                    "members": sorted(people[i * 4:i * 4 + 4] + [people[0]][:i and 1])}
                   for i in range(30)],
        "agents": [{"name": "agent-%d" % i, "title": "Agent %d" % i, "owner": people[i % 120],
                    "state": "active" if i % 10 else "frozen", "labels": {"team": str(i % 30)}}
                   for i in range(400)],
        "servers": [{"name": "s%d" % i, "plugin": "conformance", "config": {},
                     "environment": "production", "account": "a", "is_enabled": True}
                    for i in range(125)],
        "tools": [dict(pin, server="s%d" % i, name=pin["name"].replace("conf__", "s%d__" % i))
                  for i in range(125) for pin in pins],
        "policy": "version: 1\nrules:\n" + "".join(
            "  - {name: team-%d, tools: ['s%d__*'], effect: ask, ask: {thresholds: "
            "[{approve: 1, groups: [team-%d]}]}}\n" % (i, i, i) for i in range(30)) +
            "  - {name: reads, tools: ['*'], effect: allow}\n",
    }
    org = Empty(rt)
    times = []
    for kind in ({"dry_run": True}, {}, {}, {"prune": True}):
        from_ = time.monotonic()
        answer = apply(org, document, **kind)
        times.append(time.monotonic() - from_)
        if len(times) <= 2:
            assert len(answer["changes"]) == 120 + 30 + 400 + 125 + 2000 + 1, len(answer["changes"])
        else:
            assert answer["changes"] == [], answer["changes"][:5]
    print("dry run %.1f s, apply %.1f s, again %.1f s, with prune %.1f s" % tuple(times))
    assert max(times) < 60, times
    assert rt.sql("SELECT count(*) AS n FROM tool WHERE organization_id = %s AND "
                  "accepted_digest IS NOT NULL", org.id)[0]["n"] == 2000
    # All 125 are asked what they offer in the background; all of them take a while.
    wait_for("servers to be asked", lambda: accepted(org) >= (2000 if LONG else 160), 150, every=1)
    again = export(org)
    for key in document:
        if key != "policy":
            document[key].sort(key=lambda x: x["name"])
    assert again == document
    assert len(org.audit(kind="agent.created")) == 400
    assert len(org.audit(kind="tool.accepted")) == 2000
    assert len(apply(org, {"servers": []}, prune=True)["changes"]) == 125
    assert org.control("GET", "/tools")["items"] == []


@case(limit=60)
def apply_changes_and_prunes(rt):
    """Each member changes what it says and no more; prune removes, except who must stay."""
    org = Org(rt, own_people=True)
    ann, bob, adam, olga = (p.name for p in (org.ann, org.bob, org.adam, org.olga))
    org.add_agent("extra", org.bob)
    org.write("a.txt", "x")
    assert told(apply(org, {"agents": [{"name": "bot", "title": "New title"},
                                       {"name": "third", "owner": ann, "state": "frozen"}]})) == \
        [("changed", "agent", "bot"), ("created", "agent", "third")]
    assert org.control("GET", "/agents/third")["state"] == "frozen"
    assert told(apply(org, {"people": [{"name": bob, "role": "admin", "display_name": "Bobby"}],
                            "groups": [{"name": "ops", "members": [ann, olga]},
                                       {"name": "new", "title": "N", "members": [bob]}]})) == \
        [("changed", "person", bob), ("changed", "group", "ops"), ("created", "group", "new")]
    groups = {g["name"]: g["members"] for g in org.control("GET", "/groups")["items"]}
    assert groups == {"ops": sorted([ann, olga]), "new": [bob]}, groups
    # What the rules lose is said, also for a dry run.
    answer = apply(org, {"groups": [{"name": "ops", "members": []}]}, dry_run=True)
    assert told(answer) == [("changed", "group", "ops")] and not answer["applied"]

    held = None
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start("files__write", {"path": "n.txt", "content": "1"})
        held = org.wait_pending()
        document = export(org)
        for key in ("people", "groups", "agents", "tools"):
            document[key] = [x for x in document[key] if x["name"] not in
                             (bob, "new", "extra", "files__delete")]
        answer = apply(org, document, prune=True)
        assert sorted(told(answer)) == sorted([
            ("removed", "person", bob), ("removed", "group", "new"), ("removed", "agent", "extra"),
            ("removed", "tool", "files__delete")]), told(answer)
        assert any("deletes" in f for f in answer["findings"]) or answer["findings"] == []
        org.ann.approve(held)
        assert not call.wait().get("isError")
    assert apply(org, document, prune=True)["changes"] == []
    assert org.control("GET", "/tools/files__delete")["state"] == "quarantined"
    assert org.control("GET", "/agents/extra")["state"] == "revoked"
    kinds = [leaf["kind"] for leaf in org.audit()]
    assert kinds.count("person.offboarded") == 1 and kinds.count("credential.revoked") == 1
    with refused(401):
        rt.rest("GET", "/me", auth=(bob, org.bob.passphrase))
    with refused(409, "for good"):
        apply(org, {"agents": [{"name": "extra", "owner": ann}]})

    # A person who goes takes no agent of the document along; others are frozen.
    with refused(400, "agent 'third': its owner '%s' is no active person here" % ann):
        people = [p for p in export(org)["people"] if p["name"] != ann]
        apply(org, {"people": people, "agents": [{"name": "third", "state": "active"}]}, prune=True)
    org.control("PATCH", "/agents/third", {"state": "active"})
    answer = apply(org, {"people": people}, prune=True)
    assert told(answer) == [("removed", "person", ann), ("changed", "agent", "third")], answer
    assert org.control("GET", "/agents/third")["state"] == "frozen"
    with refused(409, "person '%s': is the only administrator" % adam):
        apply(org, {"people": [{"name": olga}]}, prune=True)
    with refused(409, "person '%s': is the only administrator" % adam):
        apply(org, {"people": [{"name": adam, "role": "member"}]})
    assert told(apply(org, {"servers": []}, prune=True)) == [("removed", "server", "files")]
    assert org.control("GET", "/tools")["items"] == []


@case(limit=60)
def apply_is_all_or_nothing(rt):
    """A document of which one thing cannot be: nothing is done, and that thing is named."""
    org = Org(rt, own_people=True)
    olga, ann = org.olga.name, org.ann.name
    before = export(org)
    pin = before["tools"][0]
    good = {"groups": [{"name": "good", "members": [ann]}],
            "agents": [{"name": "good", "owner": olga}]}

    def state():
        return rt.sql("SELECT o.revision, o.policy_version, (SELECT count(*) FROM audit_event e "
                      "WHERE e.organization_id = o.organization_id) AS events FROM organization o "
                      "WHERE o.organization_id = %s", org.id)
    at_first = state()
    long_name = "n" * 64
    for bad, status, text in (
            ({"agents": [{"name": "x", "owner": "zoe"}]}, 400,
             "agent 'x': its owner 'zoe' is no active person here"),
            ({"agents": [{"name": "x"}]}, 400, "agent 'x': it needs an 'owner'"),
            ({"agents": [{"name": "x", "owner": olga}, {"name": "x", "owner": ann}]}, 400,
             "agents: 'x' stands there twice"),
            ({"agents": [{"name": "x", "owner": olga, "role": "y"}]}, 400,
             "agent 'x': 'role' is not known here (known: name title owner state labels)"),
            ({"agents": [{"name": "x", "owner": olga, "state": "asleep"}]}, 400,
             "'state' must be active or frozen"),
            ({"agents": [{"name": "x", "owner": olga, "labels": {"a": 1}}]}, 400, "'labels'"),
            ({"agents": ["x"]}, 400, "agent number 1: it must be an object with a 'name'"),
            ({"agents": {}}, 400, "'agents' must be a list"),
            ({"groups": [{"name": "g", "members": ["zoe"]}]}, 400,
             "group 'g': 'zoe' is no active person here"),
            ({"groups": [{"name": "g", "members": [ann, ann]}]}, 400, "each once"),
            ({"groups": [{"name": long_name}]}, 400, "1 to 63"),
            ({"people": [{"name": "new-one"}]}, 400, "needs a 'role'"),
            ({"people": [{"name": "new-one", "role": "king"}]}, 400, "'role' must be owner"),
            ({"people": [{"name": ann, "email": "nowhere"}]}, 400, "mail address"),
            ({"people": [{"name": ann, "passphrase": "x"}]}, 400, "'passphrase' is not known here"),
            ({"servers": [{"name": "s"}]}, 400, "server 's': it needs a 'plugin'"),
            ({"servers": [{"name": "files", "plugin": "conformance"}]}, 409, "runs the plugin files"),
            ({"servers": [{"name": "Files", "plugin": "x"}]}, 400, "1 to 32"),
            ({"tools": [dict(pin, server="nix")]}, 400, "there is no server 'nix'"),
            ({"tools": [dict(pin, effects="both")]}, 400, "read or write"),
            ({"tools": [dict(pin, digest="sha256:" + "0" * 64)]}, 400, "not that of its definition"),
            ({"tools": [{"name": pin["name"], "server": "files", "effects": "read",
                         "digest": "sha256:" + "0" * 64}]}, 409, "another definition today"),
            ({"tools": [{"name": "files__new", "server": "files", "effects": "read",
                         "digest": "sha256:" + "0" * 64}]}, 404, "does not offer it"),
            ({"tools": [{"name": "files__new", "server": "files", "effects": "read",
                         "definition": pin["definition"]}]}, 400, "publishes this definition as"),
            ({"policy": "rules: 7"}, 400, "policy: "),
            ({"policy": {"document": "x"}}, 400, "policy: it must be a text"),
            ({"policy": "version: 1\nrules:\n  - {name: r, tools: ['*'], effect: ask, "
                        "ask: {thresholds: [{approve: 1, groups: [nix]}]}}\n"}, 400,
             "policy: line 3, rule 'r'"),
            ({"policies": {}}, 400, "'policies' is not known here"),
            ({"prune": 1}, 400, "'prune' must be true or false")):
        with refused(status, text):
            apply(org, dict(good, **bad))
    # Found by the database, at the end of everything else.
    rt.sql("ALTER TABLE policy ADD CONSTRAINT no_more CHECK (version < 2) NOT VALID")
    try:
        with refused(text="no_more"):
            apply(org, dict(good, policy="version: 1\nrules: []\n"))
    finally:
        rt.sql("ALTER TABLE policy DROP CONSTRAINT no_more")
    assert state() == at_first and export(org) == before
    # A policy may speak of what the same document makes.
    document = dict(good, policy="version: 1\nrules:\n  - {name: r, tools: ['*'], effect: ask, "
                                 "ask: {thresholds: [{approve: 1, groups: [good]}]}}\n")
    assert len(apply(org, document)["changes"]) == 3
    assert apply(org, document)["changes"] == []


@case(limit=60)
def apply_by_people(rt):
    """An administrator applies over REST, but for what only the host may do; others may not."""
    org = Org(rt, own_people=True)
    document = export(org)
    made = unique("new")
    assert told(apply(org, dict(document, people=document["people"] +
                                [{"name": made, "role": "approver"}]), who=org.adam)) == \
        [("created", "person", made)]
    with refused(401):
        rt.rest("GET", "/me", auth=(made, "anything at all"))
    with refused(403, "server 'more': servers are added and configured on the host only"):
        apply(org, {"servers": [{"name": "more", "plugin": "files"}]}, who=org.adam)
    with refused(403, "server 'files': servers are added and configured on the host only"):
        apply(org, {"servers": [{"name": "files", "config": {"root": "/"}}]}, who=org.adam)
    assert told(apply(org, {"servers": [{"name": "files", "environment": "x"}]}, who=org.adam)) == \
        [("changed", "server", "files")]
    other = Org(rt, own_people=True, files=False)
    with refused(409, "person '%s': the name is taken in this installation" % other.ann.name):
        apply(org, {"people": [{"name": other.ann.name, "role": "member"}]}, who=org.adam)
    with refused(403, "an admin may not make or remove owners"):
        apply(org, {"people": [{"name": org.ann.name, "role": "owner"}]}, who=org.adam)
    with refused(409, "person '%s': nobody removes themselves" % org.adam.name):
        apply(org, {"people": [{"name": made, "role": "admin"}]}, prune=True, who=org.adam)
    with refused(403, "an approver may not"):
        apply(org, {"groups": []}, who=org.ann)
    with refused(403, "an approver may not"):
        rt.rest("GET", org.path("/export"), auth=(org.ann.name, org.ann.passphrase))
    assert rt.rest("GET", org.path("/export"),
                   auth=(org.adam.name, org.adam.passphrase)) == export(org)
    with refused(404, "no such organization"):
        apply(org, {"groups": []}, who=other.adam)


@case(limit=60)
def applies_run_one_at_a_time(rt):
    """Eight at the same moment: each is whole, and none sees half of another."""
    org = Org(rt, own_people=True, files=False)
    org.add_server("conf", "conformance", {})
    pins = export(org)["tools"]
    results = []

    def work(i):
        names = ["w%d-%d" % (i, n) for n in range(20)]
        effects = "read" if i % 2 else "write"
        try:
            results.append((i, apply(org, {
                "groups": [{"name": "shared", "members": [[org.ann, org.bob][i % 2].name]}],
                "agents": [{"name": n, "owner": org.olga.name} for n in names],
                "tools": [dict(pin, effects=effects) for pin in pins]})))
        except RestError as e:
            results.append((i, e))
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for _ in range(5):
        org.control("POST", "/servers/conf/refresh")
        org.accept("conf__greet", effects="read")
    for t in threads:
        t.join(50)
    failed = [e for _, e in results if isinstance(e, RestError)]
    assert len(results) == 8 and not failed, failed
    assert len(org.control("GET", "/agents")["items"]) == 1 + 8 * 20
    assert len([g for g in org.control("GET", "/groups")["items"] if g["name"] == "shared"]) == 1
