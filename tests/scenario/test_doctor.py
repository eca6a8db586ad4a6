"""`flopinio doctor`: a sound installation passes, each planted fault is found, named and told how to
mend, and nothing is changed by looking."""
import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time

from cases import case
from harness import BUILD, Org, Runtime, wait_for
from mcp_client import McpWs
from test_database import OwnRuntime, OwnServer, end, made


def doctor(rt, data=None, as_user=None, **env):
    """(exit status, {check: [(status, text, mend)]}) with the settings that the runtime has."""
    flags = [f for f in rt.command()[2:] if f.startswith("--config=")] if os.path.exists(
        rt.base + "/flopinio.yaml") else []
    full = {k: v for k, v in os.environ.items() if not k.startswith("FLOPINIO_")}
    full.update(dict(FLOPINIO_LISTEN="127.0.0.1:%d" % rt.port, FLOPINIO_METRICS_LISTEN=""), **env)
    words = [BUILD + "/flopinio", "doctor", "--json", "--data-dir=" + (data or rt.data)] + flags
    if as_user:
        words = ["setpriv", "--reuid=%d" % as_user, "--regid=%d" % as_user, "--clear-groups"] + words
    done = subprocess.run(words, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    report = json.loads(done.stdout)
    found = {}
    for line in report["checks"]:
        found.setdefault(line["check"], []).append((line["status"], line["text"], line.get("mend")))
    counted = [line["status"] for line in report["checks"]].count("FAIL")
    assert report["failed"] == counted and done.returncode == (1 if counted else 0), done
    return done.returncode, found


def fails(rt, check, text, status="FAIL", **more):
    """It is found, and it says how to mend it."""
    code, found = doctor(rt, **more)
    hits = [f for f in found.get(check, []) if f[0] == status and re.search(text, f[1])]
    assert hits, (check, text, found.get(check))
    assert all(f[2] for f in hits), "how is it mended? %s" % hits
    assert code == (1 if status == "FAIL" else code)
    return hits


def fine(rt, *checks):
    _, found = doctor(rt)
    for check in checks:
        assert [f[0] for f in found[check]] == ["ok"], (check, found[check])


@contextlib.contextmanager
def spoiled(rt, spoil, mend):
    rt.sql(spoil)
    try:
        yield
    finally:
        rt.sql(mend)


@case(limit=60)
def a_sound_installation(rt):
    org = Org(rt, policy=None)
    org.apply("version: 1\nrules:\n  - {name: reads, tools: ['*'], effect: allow}\n"
              "  - {name: writes, tools: ['*'], effect: ask}\n")
    code, found = doctor(rt)
    assert code == 0, [f for c in found.values() for f in c if f[0] == "FAIL"]
    for check in ("configuration", "libraries", "directories", "disk", "ports", "tls", "plugins",
                  "postgresql", "roles", "row-security", "settings", "connection",
                  "audit-partitions", "approvals", "keys"):
        assert [f[0] for f in found[check]] == ["ok"], (check, found[check])
    assert any(f[0] == "ok" and org.name in f[1] for f in found["policy"]), found["policy"]
    assert "skip" not in [f[0] for c in found.values() for f in c]
    # Where it listens is what it was told when it was started, whatever is configured by now.
    elsewhere = dict(FLOPINIO_LISTEN="0.0.0.0:1", FLOPINIO_METRICS_LISTEN="")
    _, found = doctor(rt, **elsewhere)
    assert found["ports"][0][:2] == ("ok", "127.0.0.1:%d; the installation runs" % rt.port), found
    path = rt.run_dir + "/ports.json"
    with open(path) as f:
        kept = f.read()
    try:
        with open(path, "w") as f:
            f.write(kept.replace('"127.0.0.1:%d"' % rt.port, '"0.0.0.0:%d"' % rt.port))
        fails(rt, "ports", "0.0.0.0:%d is open to the network without TLS" % rt.port, "warn")
    finally:
        with open(path, "w") as f:
            f.write(kept)
    # As a table for people: the same lines, how to mend below.
    text = subprocess.run([BUILD + "/flopinio", "doctor", "--data-dir=" + rt.data],
                          stdout=subprocess.PIPE, text=True).stdout
    assert re.search(r"^ok    row-security ", text, re.M) and " to mend, " in text, text


@case(limit=60)
def the_database_is_looked_at(rt):
    for check, text, spoil, mend in (
            ("roles", "flopinio_app is bypassrls", "ALTER ROLE flopinio_app BYPASSRLS",
             "ALTER ROLE flopinio_app NOBYPASSRLS"),
            ("roles", "flopinio_owner is superuser", "ALTER ROLE flopinio_owner SUPERUSER",
             "ALTER ROLE flopinio_owner NOSUPERUSER"),
            ("roles", "flopinio_app is a member of flopinio_owner",
             "GRANT flopinio_owner TO flopinio_app", "REVOKE flopinio_owner FROM flopinio_app"),
            ("roles", "flopinio_app may create in the schema flopinio",
             "GRANT CREATE ON SCHEMA flopinio TO flopinio_app",
             "REVOKE CREATE ON SCHEMA flopinio FROM flopinio_app"),
            ("roles", "flopinio_sweep can log in", "ALTER ROLE flopinio_sweep LOGIN",
             "ALTER ROLE flopinio_sweep NOLOGIN"),
            ("row-security", "^vote$", "ALTER TABLE vote NO FORCE ROW LEVEL SECURITY",
             "ALTER TABLE vote FORCE ROW LEVEL SECURITY"),
            ("row-security", "^stop$", "ALTER TABLE stop DISABLE ROW LEVEL SECURITY",
             "ALTER TABLE stop ENABLE ROW LEVEL SECURITY"),
            ("row-security", "approval lets every row through by its policy open",
             "CREATE POLICY open ON approval TO flopinio_app USING (true)",
             "DROP POLICY open ON approval"),
            ("row-security", "sweep_due has no pinned search_path",
             "ALTER FUNCTION sweep_due RESET search_path",
             "ALTER FUNCTION sweep_due SET search_path = flopinio, pg_temp"),
            ("row-security", "token_list can be called by everybody",
             "GRANT EXECUTE ON FUNCTION token_list TO PUBLIC",
             "REVOKE EXECUTE ON FUNCTION token_list FROM PUBLIC"),
            ("row-security", "token_list runs as flopinio_super",
             "ALTER FUNCTION token_list OWNER TO flopinio_super",
             "ALTER FUNCTION token_list OWNER TO flopinio_lookup"),
            ("clock", "clock is 1[0-9]{4} ms off",
             "CREATE FUNCTION flopinio.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
             "'SELECT pg_catalog.clock_timestamp() + interval ''15 s'''; GRANT EXECUTE ON FUNCTION "
             "flopinio.clock_timestamp() TO flopinio_app; ALTER ROLE flopinio_app SET search_path = "
             "flopinio, pg_catalog",
             "ALTER ROLE flopinio_app RESET search_path; DROP FUNCTION flopinio.clock_timestamp()")):
        with spoiled(rt, spoil, mend):
            fails(rt, check, text)
    fine(rt, "roles", "row-security")
    for spoil, mend, check, text in (
            ("ALTER ROLE flopinio_backup NOBYPASSRLS", "ALTER ROLE flopinio_backup BYPASSRLS",
             "roles", "flopinio_backup lacks bypassrls"),
            ("ALTER ROLE flopinio_app SET synchronous_commit = off",
             "ALTER ROLE flopinio_app RESET synchronous_commit", "settings", "synchronous_commit")):
        with spoiled(rt, spoil, mend):
            fails(rt, check, text, "warn")


@case(limit=60, breaks=True)
def missing_partitions_and_unsafe_settings(_rt):
    own = Runtime(workers=1)
    next_month = own.sql("SELECT 'audit_event_' || to_char(now() + interval '1 month', 'YYYYMM') AS x")
    own.sql("DROP TABLE %s" % next_month[0]["x"])
    fails(own, "audit-partitions", "there is no partition for")
    own.sql("ALTER SYSTEM SET full_page_writes = off")
    own.sql("SELECT pg_reload_conf()")
    wait_for("the setting", lambda: own.sql("SHOW full_page_writes")[0]["full_page_writes"] == "off")
    fails(own, "settings", "full_page_writes is off")
    own.remove()


@case(limit=60)
def files_are_looked_at(rt):
    keys = rt.data + "/secrets/keys"
    for path, mode, check, text in (
            (rt.data + "/secrets", 0o755, "directories", "has mode 0755"),
            (rt.data, 0o777, "directories", "has mode 0777"),
            (keys, 0o644, "keys", "can be read by other users"),
            (rt.run_dir + "/control.sock", 0o666, "isolation", "others are the operator too")):
        before = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode)
        try:
            fails(rt, check, text)
        finally:
            os.chmod(path, before)
    fine(rt, "directories", "keys")
    # A key that the database knows is not there: its number and its rows are named.
    with open(keys) as f:
        text = f.read()
    other = re.sub(r"^(primary) 1 ", r"\1 9 ", text, flags=re.M)
    assert other != text
    with open(keys, "w") as f:
        f.write(other)
    try:
        fails(rt, "keys", "key 1 .*rows need it")
    finally:
        with open(keys, "w") as f:
            f.write(text)
    assert os.stat(keys).st_mode & 0o777 == 0o600


@case(limit=60)
def policies_are_looked_at(rt):
    org = Org(rt, own_people=True, policy=None)
    fails(rt, "policy", org.name + " has no policy", "warn")
    org.apply("version: 1\nrules:\n  - {name: reads, tools: ['*'], effect: allow}\n"
              "  - {name: writes, tools: [files__write], effect: ask, ask: {thresholds: "
              "[{approve: 2, groups: [ops]}]}}\n")
    fails(rt, "policy", org.name + ": no rule is for tool 'files__delete'", "warn")
    org.control("PATCH", "/people/%s" % org.bob.name, {"groups": []})
    fails(rt, "policy", org.name + ": rule writes: threshold 1 needs 2 to approve, and 1 person could")
    org.apply("version: 1\ndefaults: {owner_may_approve: true}\nrules:\n"
              "  - {name: all, tools: ['*'], effect: ask}\n")
    fails(rt, "policy", org.name + ": rule all: an agent's owner may approve", "warn")
    org.add_server("more", "files", {"root": org.folder}, accept=False)
    fails(rt, "tools", org.name + ": 9 new or changed tools", "warn")
    org.apply("version: 1\nrules: []\n")


@case(limit=60)
def not_isolated_from_the_agent(rt):
    """The user that runs it logs in; and agents that did call from that user are named."""
    if os.geteuid() != 0:
        return
    fails(rt, "isolation", "not isolated from the agent, if one runs as root too", "warn")
    org = Org(rt)
    with McpWs(rt, org.credential) as agent:
        agent.call_start("files__write", {"path": "a", "content": "a"})
        org.wait_pending()
        hits = fails(rt, "isolation", "calls came from the runtime's own user", "warn")
        assert "%s/bot" % org.name in hits[0][1], hits


@case(limit=90)
def when_it_does_not_run(_rt):
    """What can be looked at is; the rest is said, and is no failure. Nothing is started or made."""
    own = Runtime(workers=1)
    own.stop()
    before = sorted(os.listdir(own.data))
    code, found = doctor(own)
    assert code == 0, found
    assert [f[0] for f in found["postgresql"]] == ["skip"], found["postgresql"]
    assert "flopinio serve" in found["postgresql"][0][2]
    for check in ("roles", "row-security", "settings", "audit-partitions", "keys", "policy"):
        assert [f[0] for f in found[check]] == ["skip"], (check, found[check])
    for check in ("directories", "disk", "ports", "libraries", "plugins"):
        assert [f[0] for f in found[check]] == ["ok"], (check, found[check])
    assert own.postmaster() is None and sorted(os.listdir(own.data)) == before
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", own.port))
        taken.listen()
        fails(own, "ports", "could not listen on 127.0.0.1 port %d" % own.port)
    os.chmod(own.data + "/secrets/keys", 0o640)
    fails(own, "keys", "can be read by other users")
    own.remove()
    code, found = doctor(own, data=own.base + "/none")
    assert code == 1 and found["directories"][0][0] == "FAIL", found
    assert not os.path.exists(own.base), "doctor made something"


@case(limit=60)
def certificates(rt):
    base = tempfile.mkdtemp(dir=rt.base)

    def make(name, days):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x", "-keyout",
                        "%s/%s.key" % (base, name), "-out", "%s/%s.pem" % (base, name), "-days",
                        str(days)], check=True, stderr=subprocess.DEVNULL)
        return {"FLOPINIO_TLS_CERTIFICATE": "%s/%s.pem" % (base, name),
                "FLOPINIO_TLS_KEY": "%s/%s.key" % (base, name)}
    good = make("good", 90)
    _, found = doctor(rt, **good)
    assert found["tls"][0][0] == "ok" and "(89 days)" in found["tls"][0][1], found["tls"]
    fails(rt, "tls", r"ends .* \(\d+ days\)", "warn", **make("soon", 7))
    fails(rt, "tls", "tls_key|key|mismatch", **dict(good, FLOPINIO_TLS_KEY=base + "/soon.key"))
    fails(rt, "tls", "cannot read the certificate", **dict(good, FLOPINIO_TLS_CERTIFICATE=base))
    past = make("past", 1)  # signed once more, to have ended yesterday
    subprocess.run(["openssl", "x509", "-in", base + "/past.pem", "-signkey", base + "/past.key",
                    "-days", "-1", "-out", base + "/over.pem"], check=True,
                   stderr=subprocess.DEVNULL)
    fails(rt, "tls", "ended ", **dict(past, FLOPINIO_TLS_CERTIFICATE=base + "/over.pem"))


@case(limit=60)
def as_another_user(rt):
    """It says whose it is, fails nothing that it only cannot see."""
    if os.geteuid() != 0:
        return
    os.chmod(rt.base + "/flopinio.yaml", 0o644)
    from_ = time.monotonic()
    code, found = doctor(rt, as_user=65534)
    assert time.monotonic() - from_ < 15, "it waits for a socket that it may not use"
    assert code == 0 or found["ports"][0][0] == "FAIL", found
    for check in ("postgresql", "policy"):
        assert found[check][0][0] == "skip" and "as the installation's user" in found[check][0][2]


@case(limit=90)
def a_database_of_ones_own(_rt):
    with OwnServer() as server:
        app, _ = made(server)
        rt = OwnRuntime(server, app)
        rt.start()
        os.chmod(rt.base + "/flopinio.yaml", 0o600)
        code, found = doctor(rt)
        assert code == 0, [f for c in found.values() for f in c if f[0] == "FAIL"]
        assert "of your own" in found["postgresql"][0][1], found["postgresql"]
        # The server of these tests logs all statements.
        assert ("warn", True) in [(f[0], "log_statement is all" in f[1]) for f in found["settings"]]
        os.chmod(rt.base + "/flopinio.yaml", 0o644)
        fails(rt, "configuration", "holds the database's password and other users can read it")
        os.chmod(rt.base + "/flopinio.yaml", 0o600)
        fails(rt, "postgresql", "can bypass row security",
              FLOPINIO_DATABASE_URL=server.url(database="flopinio"))
        fails(rt, "postgresql", "could not connect", FLOPINIO_DATABASE_URL=server.url(
            "flopinio_app", "wrong", "flopinio"))
        server.sql("UPDATE schema_version SET version = 0 WHERE version = (SELECT max(version) FROM "
                   "schema_version)")
        fails(rt, "postgresql", "flopinio migrate")
        server.sql("UPDATE schema_version SET version = (SELECT max(version) + 1 FROM schema_version) "
                   "WHERE version = 0")
        end(rt)
