"""What stays as cheap with many: organizations, approvals that wait, servers. By the rows that the
database reads, never by time."""
import os
import re
import signal
import sys
import time

from cases import case
from harness import ROOT, Org, token_for, wait_for
from mcp_client import McpWs
from nodes import backends

sys.path.append(os.path.join(ROOT, "tests/bench"))
import fill  # noqa: E402


class _Place:
    def __init__(self, rt, org):
        self.rt, self.org = rt, org


def _filled(rt, **options):
    org = Org(rt, files=False, **options)
    org.is_edited = True
    return org, _Place(rt, org)


def _read(rt, table):
    """Rows of the table that scans and indexes brought up so far. A connection tells it a second
    later: when two looks are the same, or after a while of reading."""
    seen = None
    for _ in range(6):
        last, seen = seen, rt.sql("SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS "
                                  "n FROM pg_stat_user_tables WHERE relname = %s", table)[0]["n"]
        if seen == last:
            break
        time.sleep(1.5)
    return seen


def _looks(rt, table):
    """How often it was looked into so far."""
    time.sleep(1.5)
    return rt.sql("SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) AS n FROM "
                  "pg_stat_user_tables WHERE relname = %s", table)[0]["n"]


def _rounds(rt, count):
    """So many rounds of the sweep of every worker, and what they read is told."""
    for _ in range(count):
        at = rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        wait_for("the workers' rounds", lambda since=at: len(rt.sql(
            "SELECT 1 FROM worker WHERE seen_at > %s", since)) >= len(rt.workers()), 20)


def _counted(rt, what):
    at = rt.metrics()[1]
    return "flopinio_approvals_pending %d\n" % what in at


@case(limit=60)
def an_inbox_is_read_without_what_is_finished(rt):
    org, place = _filled(rt)
    fill.pending(place, 3000, org.id)
    rt.sql("SET session_replication_role = replica; UPDATE approval SET state = 'rejected' WHERE "
           "organization_id = %s; RESET session_replication_role", org.id)
    fill.pending(place, 3, org.id)
    rt.sql("REINDEX TABLE approval")  # of what other cases left in it
    rt.sql("VACUUM ANALYZE approval")
    token = token_for(rt, org.ann.name)

    def listed(query, count):
        path = org.path("/approvals?" + query)
        for _ in range(7):  # the later ones by a plan that is kept
            found = rt.rest("GET", path, auth=token)["items"]
            assert len(found) == count, len(found)
    listed("state=pending", 3)
    since = _read(rt, "approval")
    listed("state=pending", 3)
    listed("state=approved,unknown", 0)
    listed("state=pending,approved,claimed,dispatched,unknown", 3)
    listed("review=true", 0)
    read = _read(rt, "approval") - since
    assert read < 2000, "%d rows were read for 28 looks at three approvals" % read
    rt.sql("DELETE FROM approval WHERE organization_id = %s", org.id)


@case(limit=90)
def a_call_repeated_for_months_is_no_dearer(rt):
    """An intake read all that its agent had ever asked for in the same words, and judged each."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        agent.call_start("s__append_line", {"line": "again"})
        first = org.wait_pending()
        # Delivered, never collected, rejected: one of each every three minutes, for eleven days.
        rt.sql("""SET session_replication_role = replica; INSERT INTO approval SELECT n.* FROM
            approval a CROSS JOIN generate_series(1, 5400) i CROSS JOIN LATERAL (SELECT now() -
            interval '20 minutes' - i * interval '3 minutes' + CASE i %% 3 WHEN 1 THEN interval
            '-24 hours' ELSE interval '0' END) t (at) CROSS JOIN LATERAL jsonb_populate_record(
            NULL::approval, to_jsonb(a) || jsonb_build_object('approval_id', gen_random_uuid(),
            'state', CASE i %% 3 WHEN 2 THEN 'rejected' ELSE 'succeeded' END, 'created_at', t.at,
            'decided_at', t.at, 'wait_mode', 'left', 'settled_at', CASE i %% 3 WHEN 2 THEN NULL ELSE
            t.at END, 'delivered_at', CASE i %% 3 WHEN 0 THEN t.at END)) n WHERE a.approval_id = %s;
            RESET session_replication_role""", first)
        rt.sql("VACUUM ANALYZE approval")
        since = _read(rt, "approval")
        for i in range(10):
            agent.call_start("s__append_line", {"line": "again"})
            org.wait_pending(i + 2)
        newest = rt.sql("SELECT max(asked_count) AS n FROM approval WHERE organization_id = %s "
                        "AND state = 'pending'", org.id)[0]["n"]
        read = _read(rt, "approval") - since
    assert newest == 100, newest  # counted no further
    assert read < 5000, "%d rows were read for ten calls like 5,400 before them" % read
    rt.sql("DELETE FROM approval WHERE organization_id = %s", org.id)


@case(limit=400, long=True)
def a_stop_holds_however_many_wait(rt):
    """Their deadlines were of its own transaction, which took longer than a statement may: then nothing
    was stopped. It answers at once, and they follow."""
    org, place = _filled(rt)
    many = 100000
    fill.pending(place, many, org.id)
    rt.sql("VACUUM ANALYZE approval")
    frozen = "SELECT count(*) AS n FROM approval WHERE organization_id = %s AND frozen_at IS NOT NULL"
    for what, path, state, n in (("stop", "/stops", "stopping", many),
                                 ("resume", "/stops/resume", "resuming", 0)):
        since = time.monotonic()
        answer = org.control("POST", path, {"scope": "org", "name": org.name, "reason": "halt"}
                             if n else {"scope": "org", "name": org.name})
        answered = time.monotonic() - since
        assert answer["state"] == state, answer
        wait_for("all of them", lambda n=n: rt.sql(frozen, org.id)[0]["n"] == n, 180)
        print("%s: answered in %.2f s, all moved in %.1f s" % (what, answered,
                                                             time.monotonic() - since))
    rt.sql("DELETE FROM approval WHERE organization_id = %s", org.id)


# Behind those that count the same rows: what a worker read here may be told ten seconds later.
@case(limit=60)
def what_waits_is_not_read_by_the_sweep(rt):
    """Each round took as long as a million rows take, and where that was over the time of a
    statement nothing expired any more."""
    _, place = _filled(rt)
    before = rt.sql("SELECT count(*) AS n FROM approval WHERE state = 'pending'")[0]["n"]
    fill.pending(place, 20000)

    def is_visible():
        """To all transactions: one that ran at the moment of the vacuum keeps it from seeing that."""
        rt.sql("VACUUM (ANALYZE) approval")
        row = rt.sql("SELECT relpages, relallvisible FROM pg_class WHERE relname = 'approval'")[0]
        return row["relallvisible"] >= row["relpages"] - 5
    wait_for("the vacuum", is_visible, 30, 0.2)
    # The figure is there, exact, and found without the rows.
    wait_for("the count", lambda: _counted(rt, before + 20000), 30, 0.1)
    since = _read(rt, "approval")
    _rounds(rt, 15)
    read = _read(rt, "approval") - since
    assert read < 2000, "%d rows of approvals were read by 15 rounds of the sweep" % read
    rt.sql("DELETE FROM approval WHERE tool = 'b__put'")


@case(limit=90, breaks=True)
def one_organization_is_found_without_the_others(rt):
    """Every request to the REST API read the names of all of them, and every worker that started."""
    org, place = _filled(rt)
    # With their origin, else they look as if somebody had loaded them.
    rt.sql("WITH made AS (INSERT INTO organization (organization_id, name, changed_at) SELECT "
           "gen_random_uuid(), 'many-' || i, now() - interval '1 day' FROM generate_series(1, 3000) i "
           "RETURNING organization_id) INSERT INTO origin (organization_id) SELECT organization_id "
           "FROM made")
    rt.sql("VACUUM ANALYZE organization")
    token = token_for(rt, org.ann.name)
    rt.rest("GET", org.path("/groups"), auth=token)
    since = _read(rt, "organization")
    for _ in range(10):
        rt.rest("GET", org.path("/groups"), auth=token)
    rt.kill_worker(rt.workers()[0])
    _rounds(rt, 5)
    read = _read(rt, "organization") - since
    assert read < 15000, "%d organizations were read" % read
    rt.sql("DELETE FROM organization WHERE name LIKE 'many-%%'")


@case(limit=120, breaks=True)
def a_start_keeps_no_organization_that_nobody_uses(rt):
    """Who starts asks the servers of all organizations what they offer; it kept the policies,
    tools and people of all of them."""
    _, place = _filled(rt, conformance=True)
    fill.organizations(place, 70, 0)
    mine = "organization_id IN (SELECT organization_id FROM organization WHERE name LIKE 'x%%-%%')"
    rt.sql("UPDATE server SET note = 'not asked yet' WHERE " + mine)
    for pid in rt.workers():
        rt.kill_worker(pid)
    wait_for("all to be asked", lambda: not rt.sql(
        "SELECT 1 FROM server WHERE note <> '' AND " + mine), 60, 0.1)
    since = _looks(rt, "policy")
    rt.sql("UPDATE organization SET revision = revision + 1, changed_at = clock_timestamp() WHERE "
           + mine)
    _rounds(rt, 15)
    read = _looks(rt, "policy") - since
    assert read < 50, "policies of 70 organizations that nobody uses were read %d times" % read


@case(limit=120, breaks=True)
def a_restart_sweeps_at_once(rt):
    """What was overdue when a killed one was started again waited until the dead worker's lease had
    run out."""
    dead = wait_for("somebody to sweep", lambda: rt.sql(
        "SELECT owner FROM lease WHERE name = 'sweep'"))[0]["owner"]
    rt.stop(signal.SIGKILL)
    # What they had sent may still take it over, or say goodbye.
    wait_for("the end of their connections", lambda: not backends(rt.sql))
    rt.sql("INSERT INTO lease (name, owner, until) VALUES ('sweep', %s, now() + interval '1 hour') ON "
           "CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until", dead)
    rt.start()
    wait_for("another worker to sweep", lambda: rt.sql(
        "SELECT 1 FROM lease WHERE name = 'sweep' AND owner <> %s", dead), 30, 0.1)


@case(limit=60)
def of_each_server_some_tasks_are_looked_at(rt):
    """However many wait for their turn: the sweep asks once a second, in each worker."""
    org = Org(rt, files=False, scenario=True)
    org.is_edited = True
    McpWs(rt, org.credential).call_start("s__append_line", {"line": "one"})
    first = org.wait_pending()
    rt.sql("""SET session_replication_role = replica; INSERT INTO approval SELECT n.* FROM approval a
        CROSS JOIN generate_series(1, 5000) i CROSS JOIN LATERAL jsonb_populate_record(NULL::approval,
        to_jsonb(a) || jsonb_build_object('approval_id', md5(i::text)::uuid, 'state', 'approved',
        'server_id', md5((i %% 3)::text)::uuid, 'decided_at', now(), 'wait_mode', 'task', 'holder', NULL,
        'task_id', md5('t' || i), 'claimable_at', now() + CASE i %% 3 WHEN 2 THEN interval '1 hour' END)) n
        WHERE a.approval_id = %s; RESET session_replication_role""", first)
    rt.sql("DELETE FROM approval WHERE approval_id = %s", first)
    rt.sql("ANALYZE approval")
    found = rt.sql("SELECT server_id, count(*) AS n FROM sweep_turns(1000) GROUP BY 1")
    assert sorted(f["n"] for f in found) == [128, 128], found
    plan = rt.sql("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + rt.sql(
        "SELECT prosrc FROM pg_proc WHERE proname = 'sweep_turns'")[0]["prosrc"].replace(
            "LIMIT most", "LIMIT 1000").replace("%", "%%"))
    read = [line for row in plan for line in row.values() if "Index Scan using approval_turn" in line]
    assert read and max(int(re.search(r"rows=(\d+)", line).group(1)) for line in read) <= 128, plan
    rt.sql("DELETE FROM approval WHERE organization_id = %s", org.id)
