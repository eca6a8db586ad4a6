"""One organization never sees another: row security, looked at from the database's own catalog, so
that a table or function that somebody adds is found here before it is found elsewhere."""
import contextlib
import json
import re

import psycopg2
import psycopg2.errors

from cases import case
from harness import Org, wait_for
from mcp_client import McpError, McpHttp, McpWs, text_of

# Tables without rows of any organization. One that is added needs a thought, and a line here.
INSTALLATION_WIDE = {"installation", "lease", "schema_version", "worker"}
# People are installation-wide and guarded all the same: seen where they are members.
PEOPLE = {"person", "personal_token"}
# A batch carries audit rows of many organizations: inserting is open, reading is not.
OPEN_TO_INSERT = {"audit_event"}

# SECURITY DEFINER functions, reviewed one by one: each finds by a secret that the caller must have
# (a hash), or tells no more than ids, names and times, and changes nothing but what it is named for.
LOOKUP = {
    "channel_by_name", "credential_by_hash", "organization_by_name", "organization_loaded", "organizations",
    "organizations_changed", "people_shut_out",
    "person_by_name",
    "person_count_with_secret", "person_create", "person_describe", "person_failed", "person_missed", "person_organizations", "person_passed",
    "person_proved", "person_try", "passphrase_holds", "token_holds",
    "person_set_active", "person_set_secret", "session_by_hash", "slack_install_use", "token_by_hash", "token_create",
    "token_list", "token_revoke",
}


def guarded(rt):
    rows = rt.sql("""
        SELECT c.relname AS name, c.relkind AS kind, c.relrowsecurity AND c.relforcerowsecurity AS is_forced,
               (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
               EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
                       AND a.attname = 'organization_id') AS has_organization,
               c.relispartition AS is_partition
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'flopinio' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1""")
    return {r["name"]: r for r in rows}


@contextlib.contextmanager
def as_app(rt, organization=None):
    """A connection with the role that workers have, as if somebody had forgotten a WHERE."""
    conn = rt.connect("app")
    try:
        with conn.cursor() as cur:
            if organization:
                cur.execute("SELECT set_config('flopinio.organization', %s, false)",
                            (organization,))
            yield cur
    finally:
        conn.close()


def count(cur, table, where="true"):
    """Rows that are seen; None: not even the table may be read."""
    try:
        cur.execute('SELECT count(*) FROM "%s" WHERE %s' % (table, where))
        return cur.fetchone()[0]
    except psycopg2.errors.InsufficientPrivilege:
        return None


def chat(rt, org):
    """A row in each table of channels; the channel is off, so that nobody looks after it."""
    rt.sql("INSERT INTO channel (organization_id, channel_id, name, kind, is_enabled) VALUES "
           "(%s, gen_random_uuid(), 'off', 'telegram', false)", org.id)
    for statement in (
            "INSERT INTO outbox (organization_id, approval_id, channel_id, step) SELECT "
            "organization_id, approval_id, channel_id, 0 FROM channel JOIN approval USING "
            "(organization_id) WHERE organization_id = %s LIMIT 1",
            "INSERT INTO card_message (organization_id, card_id, approval_id, channel_id, place) "
            "SELECT organization_id, gen_random_uuid(), approval_id, channel_id, '1' FROM outbox "
            "WHERE organization_id = %s",
            "INSERT INTO chat_identity (organization_id, kind, external_id, person_id) SELECT "
            "organization_id, 'telegram', '1', person_id FROM membership WHERE organization_id = "
            "%s LIMIT 1",
            "INSERT INTO chat_link (organization_id, code_hash, channel_id, person_id, expires_at) "
            "SELECT organization_id, 'x', channel_id, person_id, now() FROM channel JOIN "
            "membership USING (organization_id) WHERE organization_id = %s LIMIT 1",
            "INSERT INTO mail_link (organization_id, token_hash, channel_id, purpose, place, "
            "expires_at) SELECT organization_id, 'x', channel_id, 'test', 'a@b', now() FROM channel "
            "WHERE organization_id = %s",
            "INSERT INTO mail_session (organization_id, token_hash, card_id, expires_at) SELECT "
            "organization_id, 'x', card_id, now() FROM card_message WHERE organization_id = %s",
            "INSERT INTO chat_prompt (organization_id, channel_id, place, message, external_id, "
            "card_id, expires_at) SELECT organization_id, channel_id, '1', '1', '1', card_id, "
            "now() FROM card_message WHERE organization_id = %s",
            "INSERT INTO quiet_hours (organization_id, person_id, from_time, to_time, zone) SELECT "
            "organization_id, person_id, '22:00', '07:00', 'UTC' FROM membership WHERE "
            "organization_id = %s LIMIT 1",
            "INSERT INTO delegation (organization_id, person_id, delegate_id, from_at, until_at, set_by) "
            "SELECT organization_id, min(person_id::text)::uuid, max(person_id::text)::uuid, now() + "
            "interval '1 day', now() + interval '2 days', 'x' FROM membership WHERE organization_id = %s "
            "GROUP BY 1",
            "INSERT INTO digest_message (organization_id, digest_id, channel_id, place) SELECT "
            "organization_id, gen_random_uuid(), channel_id, '1' FROM channel WHERE "
            "organization_id = %s"):
        assert rt.sql(statement, org.id) == 1, statement


def busy_org(rt):
    """An organization with something in every table that agents and people fill."""
    org = Org(rt, own_people=True)
    org.write("a.txt", "a\n")
    with McpHttp(rt, org.credential) as agent:
        held = agent.call_start("files__write", {"path": "b.txt", "content": "b\n"})
        org.ann.approve(org.wait_pending())
        held.wait()
        org.control("POST", "/stops", {"scope": "tool", "name": "files__move", "reason": "test"})
        chat(rt, org)
        filled = {name for name, t in guarded(rt).items() if t["has_organization"] and
                  not t["is_partition"] and
                  rt.sql('SELECT 1 FROM "%s" WHERE organization_id = %%s LIMIT 1' % name, org.id)}
        yield org, filled
        org.control("POST", "/stops/resume", {"scope": "tool", "name": "files__move"})


@case()
def every_table_has_forced_row_security(rt):
    for name, t in guarded(rt).items():
        if name in INSTALLATION_WIDE:
            assert not t["has_organization"], name
            continue
        assert t["has_organization"] or name in PEOPLE, "%s: whose rows are these?" % name
        assert t["kind"] in ("r", "p"), "%s is a view: it would run with its owner's rights" % name
        assert t["is_forced"] and t["policies"] > 0, name


@case()
def organization_is_the_first_column_of_every_key(rt):
    """Row security does not reach into keys: one without the organization would tell that a row
    exists elsewhere, and a foreign key would reach it. The exceptions are random or hashed values,
    and people, who are the installation's."""
    keys = rt.sql("""
        SELECT c.conrelid::regclass::text AS name, c.contype AS kind,
               (SELECT attname FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = c.conkey[1]) AS first,
               c.confrelid::regclass::text AS target
        FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
        WHERE n.nspname = 'flopinio' AND c.contype IN ('p', 'u', 'f')""")
    tables = guarded(rt)
    for k in keys:
        table = tables.get(k["name"])
        if not table or not table["has_organization"] or k["name"] == "organization":
            continue
        if k["kind"] == "f" and k["target"] == "person":
            continue
        assert k["first"] == "organization_id", k


@case(limit=60)
def no_organization_nothing_seen(rt):
    for org, filled in busy_org(rt):
        assert len(filled) >= 14, filled
        with as_app(rt) as cur:
            for name, t in guarded(rt).items():
                if name in INSTALLATION_WIDE:
                    continue
                assert not count(cur, name), name
                cur.connection.rollback()
            for name in filled:
                for statement in ('UPDATE "%s" SET organization_id = organization_id' % name,
                                  'DELETE FROM "%s"' % name):
                    try:
                        cur.execute(statement)
                        assert cur.rowcount == 0, statement
                    except psycopg2.errors.InsufficientPrivilege:
                        pass
                    cur.connection.rollback()
                try:
                    cur.execute('TRUNCATE "%s" CASCADE' % name)
                    raise AssertionError("TRUNCATE " + name)
                except psycopg2.errors.InsufficientPrivilege:
                    cur.connection.rollback()


@case(limit=90)
def another_organization_sees_and_writes_nothing(rt):
    for ours, filled in busy_org(rt):
        for theirs, also_filled in busy_org(rt):
            assert filled == also_filled
            with as_app(rt, theirs.id) as cur:
                for name in guarded(rt):
                    if name in INSTALLATION_WIDE:
                        continue
                    if name in PEOPLE:
                        names = "name IN ('%s')" % ours.ann.name if name == "person" else "true"
                        assert not count(cur, name, names), name
                    else:
                        assert not count(cur, name, "organization_id = '%s'" % ours.id), name
                    cur.connection.rollback()
                    cur.execute("SELECT set_config('flopinio.organization', %s, false)",
                                (theirs.id,))
                for name in sorted(filled):
                    crossing(rt, cur, name, ours, theirs)


def crossing(rt, cur, name, ours, theirs):
    """Putting a row into the other organization, or moving one there, is refused by row security or
    by rights, and by nothing that would only happen to be in the way."""
    row = rt.sql('SELECT to_jsonb(t)::text AS row FROM "%s" t WHERE organization_id = %%s LIMIT 1'
                 % name, theirs.id)[0]["row"]
    moved = dict(json.loads(row), organization_id=ours.id)
    if name == "approval":
        moved["state"] = "pending"  # the guard of states comes first otherwise
    moved = json.dumps(moved)
    statements = ['UPDATE "%s" SET organization_id = \'%s\'' % (name, ours.id)]
    if name not in OPEN_TO_INSERT:
        statements.append('INSERT INTO "%s" SELECT * FROM jsonb_populate_record(NULL::"%s", %%s)'
                          % (name, name))
    for statement in statements:
        try:
            cur.execute(statement, (moved,) if "%s" in statement else None)
            raise AssertionError("%s: %s rows" % (statement, cur.rowcount))
        except psycopg2.errors.InsufficientPrivilege as e:  # 42501: both say it so
            assert re.search("row-level security|permission denied", str(e)), e
        cur.connection.rollback()
        cur.execute("SELECT set_config('flopinio.organization', %s, false)", (theirs.id,))
        cur.connection.commit()


@case()
def the_app_role_is_no_more_than_it_is(rt):
    role = rt.sql("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication "
                  "FROM pg_roles WHERE rolname = 'flopinio_app'")[0]
    assert not any(role.values()), role
    member = rt.sql("SELECT r.rolname FROM pg_roles r WHERE r.rolname <> 'flopinio_app' AND "
                    "pg_has_role('flopinio_app', r.oid, 'MEMBER')")
    assert not member, member
    with as_app(rt) as cur:
        for statement in ("CREATE TABLE flopinio.x (y int)", "CREATE TABLE public.x (y int)",
                          "CREATE TEMP TABLE x (y int)", "CREATE SCHEMA x",
                          "CREATE FUNCTION flopinio.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                          "ALTER TABLE approval DISABLE ROW LEVEL SECURITY",
                          "ALTER TABLE approval DISABLE TRIGGER ALL", "DROP TABLE vote",
                          "SET ROLE flopinio_owner", "SET ROLE flopinio_lookup",
                          "SET ROLE flopinio_sweep", "SET session_replication_role = replica",
                          "UPDATE audit_event SET kind = 'x'", "DELETE FROM audit_event",
                          "UPDATE approval SET arguments = ''", "UPDATE approval SET tool = 'x'",
                          "UPDATE approval SET ask = '{}'", "DELETE FROM approval",
                          "DELETE FROM vote", "UPDATE policy SET document = ''",
                          "SELECT passphrase_hash FROM person", "SELECT * FROM personal_token",
                          "COPY (SELECT 1) TO '/tmp/x'", "SELECT pg_read_file('/etc/passwd')"):
            try:
                cur.execute(statement)
                raise AssertionError(statement)
            except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedTable):
                cur.connection.rollback()
        cur.execute("SET row_security = off")
        try:
            cur.execute("SELECT count(*) FROM approval")
            raise AssertionError("row_security = off was obeyed")
        except psycopg2.errors.InsufficientPrivilege as e:
            assert "row-level security" in str(e)


@case()
def functions_that_cross_organizations_are_these(rt):
    functions = rt.sql("""
        SELECT p.proname AS name, pg_get_userbyid(p.proowner) AS owner, p.prosecdef AS is_definer,
               coalesce(p.proconfig, '{}') AS config,
               ARRAY(SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END
                     FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                     WHERE a.privilege_type = 'EXECUTE' ORDER BY 1) AS callers
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'flopinio'""")
    definers = {f["name"]: f for f in functions if f["is_definer"]}
    for name, f in definers.items():
        owner = ("flopinio_owner" if name == "audit_partition" else
                 "flopinio_sweep" if name.startswith("sweep_") else "flopinio_lookup")
        assert f["owner"] == owner, f
        assert f["config"] == ["search_path=flopinio, pg_temp"], f
        assert sorted(f["callers"]) == sorted(["flopinio_app", owner]), f
    for f in functions:
        assert "PUBLIC" not in f["callers"], f
    assert {n for n in definers if definers[n]["owner"] == "flopinio_lookup"} == LOOKUP, \
        {n for n in definers if definers[n]["owner"] == "flopinio_lookup"} ^ LOOKUP
    assert {n for n in definers if definers[n]["owner"] == "flopinio_owner"} == {"audit_partition"}
    assert {n for n in definers if definers[n]["owner"] == "flopinio_sweep"} == SWEEP, \
        {n for n in definers if definers[n]["owner"] == "flopinio_sweep"} ^ SWEEP


# What is due, without what it is about: ids, states and times.
SWEEP = {
    "sweep_channels", "sweep_counts", "sweep_delegations", "sweep_canaries", "sweep_dispatched", "sweep_due",
    "sweep_installs", "sweep_key_rows", "sweep_look", "sweep_orphans", "sweep_ready", "sweep_servers", "sweep_sessions", "sweep_stops_over",
    "sweep_stops_ended", "sweep_stops_moving", "sweep_to_tell", "sweep_turns", "sweep_unreached",
}


@case()
def the_crossing_roles_change_little(rt):
    """What the owners of those functions may change, and that neither can log in nor bypass."""
    for role in rt.sql("SELECT rolname, rolcanlogin, rolbypassrls, rolsuper FROM pg_roles WHERE "
                       "rolname IN ('flopinio_lookup', 'flopinio_sweep')"):
        assert not (role["rolcanlogin"] or role["rolbypassrls"] or role["rolsuper"]), role
    changes = rt.sql("""
        SELECT DISTINCT pg_get_userbyid(a.grantee)::text || ' ' || a.privilege_type || ' ' || c.relname AS x
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
        WHERE n.nspname = 'flopinio' AND a.privilege_type <> 'SELECT' AND
        pg_get_userbyid(a.grantee) IN ('flopinio_lookup', 'flopinio_sweep') ORDER BY 1""")
    assert [c["x"] for c in changes] == [
        "flopinio_lookup INSERT person", "flopinio_lookup INSERT personal_token",
        "flopinio_lookup UPDATE person", "flopinio_lookup UPDATE personal_token",
        "flopinio_sweep DELETE mcp_session", "flopinio_sweep DELETE slack_install"], changes
    schema = rt.sql("SELECT has_schema_privilege(r, 'flopinio', 'CREATE') AS x FROM unnest("
                    "'{flopinio_lookup,flopinio_sweep,flopinio_app,flopinio_verifier}'::text[]) r")
    assert not any(s["x"] for s in schema), schema


@contextlib.contextmanager
def refusing(rt, table, organization):
    """The database refuses this organization's rows of that table."""
    rt.sql("CREATE OR REPLACE FUNCTION flopinio.test_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ "
           "BEGIN IF NEW.organization_id = TG_ARGV[0]::uuid THEN RAISE EXCEPTION 'refused by the "
           "test'; END IF; RETURN NEW; END $$")
    rt.sql("GRANT EXECUTE ON FUNCTION flopinio.test_refuses() TO PUBLIC")
    rt.sql("CREATE TRIGGER test_refuses BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION "
           "flopinio.test_refuses('%s')" % (table, organization.id))
    try:
        yield
    finally:
        rt.sql("DROP TRIGGER test_refuses ON %s" % table)
        rt.sql("DROP FUNCTION flopinio.test_refuses()")


def is_refused(pending):
    try:
        pending.wait()
    except McpError as e:
        assert e.code in (-32000, -32603), e
        return True
    return False


def retried(rt):
    return int(re.search(r"^flopinio_database_retried_total(?:{.*})? (\d+)", rt.metrics()[1],
                         re.M).group(1))


@case(limit=60, workers=1)
def one_bad_row_refuses_only_its_own(rt):
    """Reads of two organizations, and their audit rows, share batches. The database refuses one
    organization's rows: its reads are not answered, the other one's all are."""
    good, bad = Org(rt), Org(rt)
    for org in (good, bad):
        org.write("a.txt", "hello\n")
    with McpWs(rt, good.credential) as g, McpWs(rt, bad.credential) as b, \
            refusing(rt, "audit_event", bad):
        before = retried(rt)
        for _ in range(5):
            pairs = [(g.call_start("files__read", {"path": "a.txt"}),
                      b.call_start("files__read", {"path": "a.txt"})) for _ in range(10)]
            for answered, refused in pairs:
                assert "hello" in text_of(answered.wait())
                assert is_refused(refused)
        wait_for("a shared batch in the figures", lambda: retried(rt) > before)


@case(limit=60, workers=1)
def one_bad_call_refuses_only_its_own(rt):
    """The same of calls that are held."""
    good, bad = Org(rt), Org(rt)
    with McpWs(rt, good.credential) as g, McpWs(rt, bad.credential) as b, \
            refusing(rt, "approval", bad):
        pairs = [(g.call_start("files__write", {"path": "g%d" % i, "content": "x"}),
                  b.call_start("files__write", {"path": "b%d" % i, "content": "x"}))
                 for i in range(15)]
        good.wait_pending(15)
        assert all(is_refused(refused) for _, refused in pairs)
        assert bad.rows() == []


# ---------------------------------------------------------------- rows that somebody edited
def edited(rt, what, *args, approves=True):
    """A call waits, its row is changed by the database's superuser, people approve. Returns the
    organization, the row as it ended, and the audit's kinds."""
    org = Org(rt)
    org.write("keep.txt", "keep\n")
    with McpWs(rt, org.credential) as agent:
        other = agent.call_start("files__write", {"path": "other.txt", "content": "o\n"})
        other_id = org.wait_pending()
        org.ann.reject(other_id)
        other.wait()
        held = agent.call_start("files__write", {"path": "b.txt", "content": "b\n"})
        approval = org.wait_pending()
        rt.sql("ALTER TABLE approval DISABLE TRIGGER USER")  # who can edit can do this, too
        try:
            rt.sql("UPDATE approval a SET " + what.replace("OTHER", "(SELECT o FROM approval o WHERE "
                   "o.approval_id = '%s')" % other_id) + " WHERE a.approval_id = %s",
                   *args, approval)
        finally:
            rt.sql("ALTER TABLE approval ENABLE TRIGGER USER")
        if approves:
            try:
                org.ann.approve(approval)
            except Exception as e:
                assert re.search("cannot be approved: .*(digest|changed|whole|encrypted)", str(e)), e
                return org, org.row(approval), org.kinds(approval)
        org.wait_state(approval, "voided", timeout=15)
        try:
            answer = str(held.wait())
        except McpError as e:
            answer = str(e)
        assert "xecuted" in answer, answer
    return org, org.row(approval), org.kinds(approval)


def nothing_happened(org, row, kinds):
    assert row["state"] in ("pending", "voided"), row["state"]
    assert org.files() == ["keep.txt"], org.files()
    assert org.read("keep.txt") == "keep\n"


@case(limit=120)
def an_edited_row_runs_nothing(rt):
    """Whatever of the bound row is edited: found by its digest when somebody approves it, no effect,
    and said in the audit. (Edited behind the approval, it is voided: recheck.)"""
    for what, args in (
            ("arguments = (OTHER).arguments, binding_digest = (OTHER).binding_digest, "
             "binding_salt = (OTHER).binding_salt", ()),       # another call's, whole
            ("arguments = set_byte(arguments, 0, get_byte(arguments, 0) # 1)", ()),
            ("arguments = set_byte(arguments, length(arguments) - 1, "
             "get_byte(arguments, length(arguments) - 1) # 1)", ()),
            ("arguments = substr(arguments, 1, 20)", ()),
            ("tool = 'files__delete', tool_name = 'delete'", ()),
            ("policy_version = policy_version + 1", ()),
            ("binding_digest = sha256('x')", ()),
            ("binding_salt = sha256('x')", ()),
            ("definition_digest = sha256('x')", ()),
            ("agent_id = gen_random_uuid()", ()),
            ("server_id = gen_random_uuid()", ()),
            ("precondition = 'x'", ())):
        if what.startswith("agent_id"):
            continue  # the key to the agent refuses it
        org, row, kinds = edited(rt, what, *args)
        nothing_happened(org, row, kinds)
        assert row["state"] == "pending" and "approval.tampered" in kinds, (what, row["state"],
                                                                           row["reason"], kinds)
        Org.made.remove(org)  # its audit tells of a row that is not the stored one


@case(limit=60)
def an_edited_tool_name_runs_nothing_else(rt):
    """The server's own name of the tool is not what is sent: the accepted definition says it."""
    org, row, kinds = edited(rt, "tool_name = 'delete'")
    nothing_happened(org, row, kinds)
    Org.made.remove(org)


@case(limit=60)
def a_row_made_approved_without_votes_runs_nothing(rt):
    """The marker counts the votes again: the state alone is no approval."""
    org, row, kinds = edited(rt, "state = 'approved', decided_at = now(), decided_by = 'ann', "
                                   "changed_at = clock_timestamp()",
                             approves=False)
    nothing_happened(org, row, kinds)
    assert row["state"] == "voided", row
    Org.made.remove(org)


@case(limit=60)
def a_row_that_asks_less_runs_nothing(rt):
    """Thresholds are frozen with the row for the card; what counts is today's policy."""
    org = Org(rt)
    with McpWs(rt, org.credential) as agent:
        org.write("a.txt", "a\n")
        agent.call_start("files__delete", {"path": "a.txt"})
        approval = org.wait_pending()
        rt.sql("ALTER TABLE approval DISABLE TRIGGER USER")
        rt.sql("UPDATE approval SET ask = jsonb_set(ask, '{thresholds,0,approve}', '1') WHERE "
               "approval_id = %s", approval)
        rt.sql("ALTER TABLE approval ENABLE TRIGGER USER")
        org.ann.approve(approval)
        wait_for("an end", lambda: org.state(approval) in ("voided", "pending"))
        assert org.files() == ["a.txt"]
        if org.state(approval) == "pending":
            org.control("POST", "/stops", {"scope": "org", "name": org.name, "reason": "over"})


# Columns that hold what is sealed with the installation's keys, and those that hold bytes of another
# kind. One that is added needs a line here; and in sweep_key_rows, if it is sealed.
SEALED = {"approval.arguments", "approval.justification", "approval.preview", "approval.result",
          "channel.secret", "person.totp_secret", "slack_install.secret"}
NOT_SEALED = re.compile(r"_hash$|digest$|\.(shown|leaf|fingerprint|binding_salt|pinned|mcp_session)$")


@case()
def a_lost_key_is_counted_in_every_sealed_column(rt):
    """Or a start says "0 rows need it" of a key without which nobody's second factor works."""
    columns = {"%(t)s.%(c)s" % r for r in rt.sql("""
        SELECT c.relname AS t, a.attname AS c FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'flopinio' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND a.atttypid = 'bytea'::regtype AND a.attnum > 0 AND NOT a.attisdropped""")}
    unknown = {c for c in columns - SEALED if not NOT_SEALED.search(c)}
    assert not unknown and SEALED <= columns, (unknown, SEALED - columns)
    org = Org(rt)
    with McpWs(rt, org.credential) as agent:
        agent.call_start("files__write", {"path": "a.txt", "content": "x"})
        org.wait_pending()
        conn = rt.connect()
        conn.autocommit = False
        try:
            with conn.cursor() as cur:
                cur.execute("SET LOCAL session_replication_role = replica")
                cur.execute("INSERT INTO flopinio.channel (organization_id, channel_id, name, kind) "
                            "VALUES (%s, gen_random_uuid(), 'sealed', 'mail')", (org.id,))
                cur.execute("INSERT INTO flopinio.slack_install (organization_id, install_id, "
                            "state_hash, channel, secret, expires_at) VALUES (%s, gen_random_uuid(), "
                            "'x', 'sealed', 'x', now())", (org.id,))
                for key, column in enumerate(sorted(SEALED), 7000):
                    table, name = column.split(".")
                    cur.execute("UPDATE flopinio.%s SET %s = decode('01' || lpad(to_hex(%d), 8, '0') "
                                "|| repeat('00', 40), 'hex') WHERE ctid = (SELECT ctid FROM "
                                "flopinio.%s LIMIT 1)" % (table, name, key, table))
                    cur.execute("SELECT flopinio.sweep_key_rows(%s)", (key,))
                    assert cur.fetchone()[0] == 1, column
        finally:
            conn.rollback()
            conn.close()
