"""The database's own guard against the table in runtime/store/states.h: every pair of states, put to
the trigger of the real private database. The table is read from `flopinio generate promela`, the
same output that the model in tests/model is checked with."""
import re
import subprocess

import psycopg2
import psycopg2.errors

from cases import case
from harness import BUILD, Org
from mcp_client import McpWs

GENERATED = subprocess.run([BUILD + "/flopinio", "generate", "promela"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
STATES = [s.strip().lower() for s in re.search(r"mtype = \{(.*?)\}", GENERATED).group(1).split(",")]
MOVES = {(a.lower(), b.lower()) for a, b in re.findall(r"\(o == (\w+) && n == (\w+)\)", GENERATED)}
FINAL = {s.lower() for s in re.findall(r"s == (\w+)", GENERATED.split("MAY_MOVE")[0])}


def held(rt):
    """An approval that waits; the test changes it by hand, and always rolls back."""
    org = Org(rt)
    with McpWs(rt, org.credential) as agent:
        agent.call_start("files__write", {"path": "a.txt", "content": "a\n"})
        approval = org.wait_pending()
    return approval


def put(cur, approval, state):
    """Into any state, past the guard."""
    cur.execute("ALTER TABLE approval DISABLE TRIGGER approval_guard")
    cur.execute("UPDATE approval SET state = %s WHERE approval_id = %s", (state, approval))
    cur.execute("ALTER TABLE approval ENABLE TRIGGER approval_guard")


def is_admitted(cur, sql, *args):
    cur.execute("SAVEPOINT one")
    try:
        cur.execute(sql, args)
        assert cur.rowcount == 1, (sql, args)
        return True
    except psycopg2.errors.CheckViolation as e:
        assert e.diag.constraint_name == "approval_states", e
        return False
    finally:
        cur.execute("ROLLBACK TO one")


@case(limit=60)
def the_trigger_admits_what_the_table_has_and_nothing_else(rt):
    assert len(STATES) == 11 and len(MOVES) == 18 and len(FINAL) == 6, GENERATED
    approval = held(rt)
    conn = rt.connect()
    conn.autocommit = False
    wrong, admitted = [], 0
    try:
        with conn.cursor() as cur:
            for at in STATES:
                put(cur, approval, at)
                for to in STATES:
                    if at == to:
                        continue
                    got = is_admitted(cur, "UPDATE approval SET state = %s WHERE approval_id = %s",
                                      to, approval)
                    admitted += got
                    if got != ((at, to) in MOVES):
                        wrong.append("%s -> %s is %s" % (at, to, "admitted" if got else "refused"))
    finally:
        conn.rollback()
        conn.close()
    assert not wrong, wrong
    assert admitted == len(MOVES)


@case(limit=60)
def a_row_is_created_waiting_or_approved_and_final_rows_stay(rt):
    assert not [m for m in MOVES if m[0] in FINAL], MOVES
    approval = held(rt)
    conn = rt.connect()
    conn.autocommit = False
    try:
        with conn.cursor() as cur:
            cur.execute("SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE "
                        "attrelid = 'approval'::regclass AND attnum > 0 AND NOT attisdropped AND "
                        "attname NOT IN ('approval_id', 'state', 'task_id', 'idempotency_key')")
            columns = cur.fetchone()[0]
            insert = ("INSERT INTO approval (approval_id, state, %s) SELECT gen_random_uuid(), %%s, "
                      "%s FROM approval WHERE approval_id = %%s" % (columns, columns))
            created = [s for s in STATES if is_admitted(cur, insert, s, approval)]
    finally:
        conn.rollback()
        conn.close()
    assert sorted(created) == ["approved", "pending"], created


@case(limit=60)
def canary_a_guard_that_admits_one_more_is_found(rt):
    """dispatched -> approved, the road to a second effect, let in by hand: the pairs show it."""
    approval = held(rt)
    conn = rt.connect()
    conn.autocommit = False
    try:
        with conn.cursor() as cur:
            cur.execute("SELECT pg_get_functiondef('approval_guard'::regproc)")
            text = cur.fetchone()[0]
            more = text.replace("('dispatched', 'unknown')",
                                "('dispatched', 'unknown'), ('dispatched', 'approved')")
            assert more != text
            update = "UPDATE approval SET state = 'approved' WHERE approval_id = %s"
            put(cur, approval, "dispatched")
            assert not is_admitted(cur, update, approval)
            cur.execute(more)
            assert is_admitted(cur, update, approval)
    finally:
        conn.rollback()
        conn.close()
