"""Months of the audit that begin while nothing runs, or cannot be made: the rows are kept, the
partition is made all the same, and no round of a worker goes with it."""
import os
import re

from cases import case
from harness import ROOT, Org, wait_for
from mcp_client import McpWs, text_of
from test_doctor import fails, fine

APPEND = "s__append_line"
MONTH = "'audit_event_' || to_char(now() AT TIME ZONE 'UTC' + interval '%s month', 'YYYYMM')"


def months_gone(rt):
    """As they are after more than a month down: neither this month nor the next. Returns the names."""
    names = [rt.sql("SELECT %s AS x" % (MONTH % ahead))[0]["x"] for ahead in (0, 1)]
    rt.sql("DROP TABLE " + ", ".join(names))
    return names


def there(rt, names):
    return [rt.sql("SELECT count(*) AS n FROM pg_inherits WHERE inhrelid = to_regclass(%s)",
                   "flopinio." + name)[0]["n"] for name in names] == [1] * len(names)


def stray(rt):
    return rt.sql("SELECT count(*) AS n FROM ONLY audit_event_default")[0]["n"]


def one_call(org, line):
    with McpWs(org.rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": line})
        approval = org.wait_pending()
        org.ann.approve(approval)
        assert text_of(call.wait()) == "appended"
    return approval


def beats(rt):
    return {str(row["id"]): row["seen_at"]
            for row in rt.sql("SELECT id, seen_at FROM worker")}


@case(limit=60, breaks=True, workers=1)
def a_month_that_begins_late_takes_no_round_of_a_worker(rt):
    names = months_gone(rt)
    org = Org(rt, files=False, scenario=True)
    approval = one_call(org, "one")
    told = org.kinds(approval)
    assert stray(rt) > 0 and len(told) > 3, told
    since = rt.log_size()
    rt.kill_worker(rt.workers()[0])
    assert there(rt, names), rt.log()
    # Its first round, with its beat and its lease, was not rolled back.
    wait_for("the worker's first round", lambda: beats(rt) and rt.sql(
        "SELECT 1 FROM lease WHERE name = 'sweep' AND owner IN (SELECT id FROM worker)"))
    assert stray(rt) == 0 and org.kinds(approval)[:len(told)] == told
    assert "audit_partition" not in rt.log(since), rt.log()
    rows = rt.sql("SELECT count(*) AS n FROM ONLY %s" % names[0])[0]["n"]
    one_call(org, "two")
    assert rt.sql("SELECT count(*) AS n FROM ONLY %s" % names[0])[0]["n"] > rows and stray(rt) == 0
    fine(rt, "audit-partitions", "row-security")


@case(limit=60, breaks=True, workers=1)
def a_month_that_cannot_be_made_is_told_and_keeps_nobody(rt):
    names = months_gone(rt)
    org = Org(rt, files=False, scenario=True)
    conn = rt.connect()
    conn.autocommit = False
    with conn.cursor() as cur:
        cur.execute("SELECT count(*) FROM ONLY audit_event_default")  # as a backup would
    since = rt.log_size()
    rt.kill_worker(rt.workers()[0])
    refusals = re.findall(r"audit_partition_not_made .*months_ahead=(\d)", rt.log(since))
    assert refusals == ["0", "1"], rt.log()
    fails(rt, "audit-partitions", "there is no partition for")
    one_call(org, "one")
    conn.close()
    rt.kill_worker(rt.workers()[0])
    assert there(rt, names) and stray(rt) == 0, rt.log()


@case(limit=60, breaks=True, workers=1)
def rows_of_months_past_are_moved_by_the_migration(rt):
    """What those were left with who were hit by it before."""
    months_gone(rt)
    org = Org(rt, files=False, scenario=True)
    approval = one_call(org, "one")
    told = org.kinds(approval)
    rt.sql("INSERT INTO audit_event SELECT organization_id, gen_random_uuid(), recorded_at - interval "
           "'2 months', kind, actor_kind, actor_id, subject_kind, NULL, leaf FROM audit_event "
           "WHERE organization_id = %s", org.id)
    before = rt.sql("SELECT count(*) AS n FROM audit_event")[0]["n"]
    with open(os.path.join(ROOT, "runtime/store/migrations/032_partitions.sql")) as f:
        repair = "DO $$" + f.read().split("DO $$")[1]
    rt.sql("SET ROLE flopinio_owner; SET search_path = flopinio, pg_temp; " + repair +
           "; RESET ROLE; RESET search_path")
    after = rt.sql("SELECT count(*) AS n FROM audit_event")[0]["n"]
    assert stray(rt) == 0 and after >= before, (stray(rt), before, after)
    made = rt.sql("SELECT %s AS x" % (MONTH % -2))[0]["x"]
    assert there(rt, [made]) and rt.sql("SELECT count(*) AS n FROM ONLY %s" % made)[0]["n"] > 0
    assert org.kinds(approval)[:len(told)] == told
    fine(rt, "row-security")
