"""What operators and administrators do: stop and resume, read the audit, list what an agent did."""
import base64
import contextlib
import http.client
import threading
import time

from cases import case
from harness import Org, refused, wait_for
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
    wait_for("refusals", lambda: all(len(r.denied) > 5 for r in readers))
    many = len(bystander.reads)
    wait_for("the other agent's reads", lambda: len(bystander.reads) > many + 20)
    latest = max(max(r.reads) for r in readers)
    cut = max(r.cuts[-1][0] for r in readers)
    print("last read %.3f s after the stop, last connection closed after %.3f s"
          % (latest - set_at, cut - set_at))
    assert latest < set_at + 1 and cut < set_at + 1, (latest - set_at, cut - set_at)
    # Twice: it came back at once, to a worker that heard of the stop a moment later.
    assert all(1 <= len(r.cuts) <= len(rt.workers()) for r in readers), [r.cuts for r in readers]
    assert all("it behaves oddly" in why for r in readers for _, why in r.cuts)
    assert not bystander.cuts and not bystander.denied
    with refused(403, "an approver may not resume calls"):
        resume(org, "agent", "bot", who=org.ann)
    resume(org, "agent", "bot", who=org.adam)
    counts = [len(r.reads) for r in readers]
    wait_for("reads again", lambda: all(len(r.reads) > n + 5 for r, n in zip(readers, counts)))
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
            assert resume(org, scope, name)["lifted"] == 1
            wait_for("reads", read, 1)
        assert not agent.is_gone.is_set()
    for scope, name in (("person", org.olga.name), ("group", "ops"), ("org", org.name)):
        if scope == "group":
            org.control("PATCH", "/people/" + org.olga.name, {"groups": ["ops"]})
        with McpHttp(rt, org.credential) as agent:
            assert tries(agent, "files__read", {"path": "a.txt"})
            stop(org, scope, name)
            wait_for("refusal", lambda: not tries(agent, "files__read", {"path": "a.txt"}), 1)
            assert resume(org, scope, name)["lifted"] == 1
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
    wait_for("nothing to be left", lambda: org.control("GET", "/stops") == {"items": []})


@case()
def stop_freezes_deadlines(rt):
    """What is held keeps the time that it had; a vote counts, but nothing runs before resume."""
    org = Org(rt, hold="1s")
    args = {"path": "n.txt", "content": "new"}
    with McpHttp(rt, org.credential) as agent:
        assert "NOT" in text_of(agent.call("files__write", args)).upper()
        approval = org.wait_pending()
        # As if the time were nearly up.
        rt.sql("UPDATE approval SET expires_at = now() + interval '4 seconds' "
               "WHERE approval_id = %s", approval)
        stop(org, "server", "files")
        wait_for("it to be frozen", lambda: org.row(approval)["frozen_at"])
        frozen = org.row(approval)
        time.sleep(4.5)  # well behind the old deadline
        assert org.state(approval) == "pending"
        assert org.ann.approve(approval)["state"] == "approved"
        assert is_denied(agent.call("files__write", args))
        assert org.state(approval) == "approved" and org.files() == []
        resume(org, "server", "files")
        wait_for("it to go on", lambda: org.row(approval)["frozen_at"] is None)
        row = org.row(approval)
        stood = (row["expires_at"] - frozen["expires_at"]).total_seconds()
        since = rt.sql("SELECT extract(epoch FROM clock_timestamp() - %s)::float AS s",
                       frozen["frozen_at"])[0]["s"]
        assert row["frozen_at"] is None and 4 <= stood <= since, (stood, since)
        wait_for("the write", lambda: tries(agent, "files__write", args))
        org.wait_state(approval, "succeeded")
        assert org.read("n.txt") == "new"

        # And one that nobody decides expires when its time has run.
        agent.call("files__write", dict(args, path="m.txt"))
        late = org.wait_pending()
        rt.sql("UPDATE approval SET expires_at = now() + interval '2 seconds' "
               "WHERE approval_id = %s", late)
        stop(org, "org", org.name, **{"for": "3s"})
        time.sleep(2.2)
        assert org.state(late) == "pending"
        org.wait_state(late, "expired")
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
        wait_for("reads again", lambda: not refused_now())
        lifted = wait_for("the audit row", lambda: org.audit(kind="stop.lifted"))
        assert [(x["subject"]["id"], x["data"]["by"]) for x in lifted] == [(made["id"], "the clock")]
        wait_for("nothing to be left", lambda: org.control("GET", "/stops") == {"items": []})
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
        wait_for("it to be frozen", lambda: org.row(approval)["frozen_at"])
        org.control("PATCH", "/people/" + org.olga.name, {"groups": []})
        wait_for("it to go on", lambda: org.row(approval)["frozen_at"] is None)


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
    by = {x["kind"]: x["by"] for x in items("?limit=1000")}
    assert (by["call.read"], by["stop.set"]) == ("bot", org.ann.name), by
    assert by["organization.created"] is None, by
    # What is mistyped is refused: it would look like "all of it", or like "it never happened".
    for query, text in (("after=17", "cursor"), ("sinse=1h", "'sinse' is not known here"),
                        ("limit=x", "'limit'"), ("limit=0", "'limit'"), ("since=x", "'since'"),
                        ("kind=aproval.", "no kind of event starts with 'aproval.'"),
                        ("since=1h&until=2h", "before 'since'"), ("order=up", "'order'")):
        with refused(400, text):
            items("?" + query)
        if not query.startswith("limit"):
            with refused(400, text):
                org.control("GET", "/audit/export?" + query)
    for path, status, text in (("/approvals?agent=zoe", 404, "no such agent"),
                               ("/approvals?stat=done", 400, "'stat' is not known here"),
                               ("/approvals?review=yes", 400, "'review' must be true or false"),
                               ("/tools?server=zoe", 404, "no such server"),
                               ("/agents?name=bot", 400, "(known: nothing)"),
                               ("/approvals?agent=%ff", 400, "the decoded text is not UTF-8"),
                               ("/approvals?agent=bot%00", 400, "an escaped NUL"),
                               ("/policy?version=x", 400, "'version'")):
        with refused(status, text):
            org.control("GET", path)
    with refused(403, "an approver may not read the audit"):
        org.ann.rest("GET", org.path("/audit"))
    with refused(403, "control socket"):
        org.adam.rest("GET", "/audit")
    assert "runtime.started" in {x["kind"] for x in rt.control("GET", "/audit")["items"]}


@case(limit=60, breaks=True, workers=1)
def audit_of_one_actor(rt):
    """Of the reads that were written together, the index by actor has one in sixteen of an agent: its list
    has all."""
    org = Org(rt, policy=STANDING)
    org.write("a.txt", "x")
    names = ["bot", "two", "three"]
    credentials = [org.credential] + [org.add_agent(name)[1] for name in names[1:]]
    with contextlib.ExitStack() as stack:
        agents = [stack.enter_context(McpWs(rt, c)) for c in credentials]
        for count in (3, 20, 50):
            lock = rt.connect()
            lock.autocommit = False
            with contextlib.closing(lock), lock.cursor() as cur:
                cur.execute("LOCK TABLE audit_event IN SHARE MODE")  # so that they gather
                calls = [agent.call_start("files__read", {"path": "a.txt"}) for agent in agents
                         for _ in range(count)]
                time.sleep(1)
            for call in calls:
                assert not call.wait().get("isError")
        assert agents[1].call("files__move", {"from": "a.txt", "to": "b.txt"}).get("isError")
    stop(org, "agent", "bot", who=org.ann)
    most = rt.sql("SELECT max(cardinality(led)) AS most, count(*) FILTER (WHERE has_lead) AS led FROM "
                  "audit_event WHERE organization_id = %s", org.id)[0]
    assert most["most"] == 15 and most["led"] > 100, most

    def items(query):
        return org.control("GET", "/audit" + query)["items"]

    def paged(query, step):
        found, after = [], ""
        while True:
            page = items("?limit=%d%s%s" % (step, query, after))
            if not page:
                return [x["leaf"] for x in found]
            found += page
            after = "&after=" + page[-1]["cursor"]
    everything = [x["leaf"] for x in items("?limit=1000")]
    for name in names:
        ident = rt.sql("SELECT agent_id::text AS id FROM agent WHERE organization_id = %s AND name = %s",
                       org.id, name)[0]["id"]
        own = [leaf for leaf in everything if leaf["actor"].get("id") == ident]
        reads = [leaf for leaf in own if leaf["kind"] == "call.read"]
        assert len(reads) == 73, len(reads)
        for step in (1, 7, 16, 1000):
            assert paged("&actor=" + name, step) == own
            assert paged("&order=newest&actor=" + name, step) == own[::-1]
        assert paged("&kind=call.read&actor=" + name, 10) == reads
        assert paged("&kind=call.denied&actor=" + name, 10) == [x for x in own if x not in reads]
        assert paged("&follow=true&actor=" + name, 10) == own[:len(paged("&follow=true&actor=" + name, 1000))]
        incident = org.control("GET", "/incident?since=1h&agent=" + name)
        assert (incident["reads"], incident["denied"]) == (73, int(name == "two"))
    assert [x["kind"] for x in items("?actor=" + org.ann.name)] == ["stop.set"]


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
