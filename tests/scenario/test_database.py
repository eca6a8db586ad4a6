"""A PostgreSQL of the operator's own: `flopinio migrate`, and what `serve` refuses of a database."""
import contextlib
import glob
import os
import pwd
import re
import shutil
import subprocess
import tempfile

import psycopg2

from cases import case
from harness import BUILD, ROOT, Org, Runtime, check_audit, free_ports, wait_for
from mcp_client import McpWs, text_of

TOOLS = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]


class OwnServer:
    """A cluster as an administrator would have it, on 127.0.0.1, as an unprivileged user."""

    def __init__(self, listen="127.0.0.1", hba="", settings=""):
        self.base = tempfile.mkdtemp(prefix="flopinio-own-")
        os.chmod(self.base, 0o755)
        self.data = self.base + "/db"
        os.mkdir(self.data, 0o700)
        self.user = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.getuid())[0])
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres")
        self.port = free_ports(1)[0]
        self.password = "postgres-secret"
        with open(self.base + "/pw", "w") as f:
            f.write(self.password)
        self.tool("initdb", "-D", self.data, "-U", "postgres", "--auth=scram-sha-256",
                  "--pwfile=" + self.base + "/pw", "-E", "UTF8", "--locale=C.UTF-8")
        with open(self.data + "/postgresql.conf", "a") as f:
            f.write("\nport = %d\nlisten_addresses = '%s'\nunix_socket_directories = ''\n"
                    "log_statement = 'all'\nshared_buffers = 32MB\n%s" % (self.port, listen, settings))
        with open(self.data + "/pg_hba.conf", "a") as f:
            f.write(hba)
        self.ctl("start")

    def tool(self, name, *args):
        def become():
            if os.geteuid() == 0:
                os.setgid(self.user.pw_gid)
                os.setuid(self.user.pw_uid)
        subprocess.run([TOOLS + "/" + name] + list(args), check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, cwd="/", preexec_fn=become)

    def ctl(self, what, *more):
        self.tool("pg_ctl", "-D", self.data, "-w", "-l", self.data + "/log", what, *more)

    def log(self):
        with open(self.data + "/log") as f:
            return f.read()

    def url(self, user="postgres", password=None, database="postgres"):
        return "postgresql://%s:%s@127.0.0.1:%d/%s" % (user, password or self.password, self.port,
                                                       database)

    @contextlib.contextmanager
    def connect(self, database="flopinio", **more):
        conn = psycopg2.connect(self.url(database=database, **more), options="-csearch_path=flopinio")
        conn.autocommit = True
        try:
            yield conn.cursor()
        finally:
            conn.close()

    def sql(self, text, *args, **more):
        with self.connect(**more) as cur:
            cur.execute(text, args)
            return cur.fetchall() if cur.description else cur.rowcount

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ctl("stop", "-m", "immediate")
        shutil.rmtree(self.base)


class OwnRuntime(Runtime):
    def __init__(self, server, url, **settings):
        super().__init__(start=False, database_url=url, workers=1, **settings)
        self.server = server

    def connect(self, role="super"):
        conn = psycopg2.connect(self.server.url(database="flopinio"),
                                options="-csearch_path=flopinio")
        conn.autocommit = True
        return conn

    def refuses(self):
        """It must refuse to start; what it said last."""
        self.spawn()
        status = self.process.wait(30)
        self.process = None
        assert status == 1, status
        return self.log().strip().splitlines()[-1]


def plain_env(**more):
    return dict({k: v for k, v in os.environ.items() if not k.startswith("FLOPINIO_")}, **more)


def migrate(*args, **env):
    return subprocess.run([BUILD + "/flopinio", "migrate"] + list(args), env=plain_env(**env),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, text=True)


def made(server):
    """migrate --roles; (URL of the app role, URL of the owner)"""
    done = migrate("--roles", FLOPINIO_ADMIN_URL=server.url())
    assert done.returncode == 0, done
    return (re.search(r"^database_url: (\S+)$", done.stdout, re.M).group(1),
            re.search(r"^FLOPINIO_OWNER_URL=(\S+)$", done.stdout, re.M).group(1))


def end(rt):
    for org in [o for o in Org.made if o.rt is rt]:
        check_audit(org)
        Org.made.remove(org)
    rt.remove()


@case(limit=90)
def a_database_of_ones_own(_rt):
    """Roles, schema, and the life of a call in it; serve knows nothing but the app role."""
    with OwnServer() as server:
        # Nothing there yet: said, and nothing is made.
        server.sql("CREATE ROLE plain LOGIN PASSWORD 'p'", database="postgres")
        early = OwnRuntime(server, server.url("plain", "p"))
        assert "no schema of flopinio yet" in early.refuses(), early.log()
        early.remove()
        nothing = migrate(FLOPINIO_OWNER_URL=server.url())
        assert nothing.returncode == 2 and "--roles" in nothing.stderr, nothing
        app, owner = made(server)
        for secret in (app, owner):
            assert secret.split(":")[2].split("@")[0] not in server.log(), "a password in the log"
        again = migrate(FLOPINIO_OWNER_URL=owner)
        assert again.returncode == 0 and "already" in again.stdout, again
        roles = migrate("--roles", FLOPINIO_ADMIN_URL=server.url(), FLOPINIO_OWNER_URL=owner)
        assert roles.returncode == 0 and "database_url" not in roles.stdout, roles
        owners = server.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'flopinio'")
        assert owners == [("flopinio_owner",)], owners
        rt = OwnRuntime(server, app)
        rt.start()
        assert not os.path.exists(rt.data + "/postgres")
        with open("/proc/%d/environ" % rt.workers()[0], "rb") as f:
            assert owner.encode() not in f.read()
        org = Org(rt)
        with McpWs(rt, org.credential) as agent:
            held = agent.call_start("files__write", {"path": "a.txt", "content": "new\n"})
            org.ann.approve(org.wait_pending())
            assert not held.wait().get("isError")
        # A backup by the role that is made for it has everything; by the app role nothing.
        server.sql("ALTER ROLE flopinio_backup PASSWORD 'b'")
        dump = subprocess.run([TOOLS + "/pg_dump", "--data-only", "--schema=flopinio",
                               server.url("flopinio_backup", "b", "flopinio")],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert dump.returncode == 0 and org.id in dump.stdout, dump.stderr
        less = subprocess.run([TOOLS + "/pg_dump", "--data-only", "--schema=flopinio", app],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert less.returncode != 0, "the app role dumps"
        end(rt)


@case(limit=60)
def the_schema_must_fit(_rt):
    """An older schema is refused and left alone; the next one works, the one behind it not."""
    with OwnServer() as server:
        app, owner = made(server)
        newest = server.sql("SELECT max(version) FROM schema_version")[0][0]
        rt = OwnRuntime(server, app)
        server.sql("UPDATE schema_version SET version = 0 WHERE version = %s", newest)
        older = server.sql("SELECT max(version) FROM schema_version")[0][0]
        said = rt.refuses()
        assert "has schema %d" % older in said and "flopinio migrate" in said, said
        assert server.sql("SELECT max(version) FROM schema_version")[0][0] == older
        pending = migrate("--dry-run", FLOPINIO_OWNER_URL=owner)
        assert pending.returncode == 0 and "%03d_" % newest in pending.stdout, pending
        server.sql("UPDATE schema_version SET version = %s WHERE version = 0", newest + 1)
        rt.start()
        assert rt.stop() == 0
        server.sql("UPDATE schema_version SET version = %s WHERE version = %s", newest + 2,
                   newest + 1)
        assert "use the newer program" in rt.refuses(), rt.log()
        ahead = migrate(FLOPINIO_OWNER_URL=owner)
        assert ahead.returncode == 2 and "use the newer program" in ahead.stderr, ahead
        rt.remove()


@case(limit=90)
def powerful_roles_are_refused(_rt):
    """A role that could look past row security is refused, however it could."""
    with OwnServer() as server:
        app, owner = made(server)
        for make in ("CREATE ROLE a SUPERUSER LOGIN PASSWORD 'x'",
                     "CREATE ROLE a BYPASSRLS LOGIN PASSWORD 'x' IN ROLE flopinio_app",
                     "CREATE ROLE a NOINHERIT LOGIN PASSWORD 'x' IN ROLE flopinio_app, "
                     "flopinio_owner",
                     "CREATE ROLE a LOGIN PASSWORD 'x' IN ROLE flopinio_app, flopinio_backup"):
            server.sql(make + "; GRANT CONNECT ON DATABASE flopinio TO a")
            rt = OwnRuntime(server, server.url("a", "x", "flopinio"))
            said = rt.refuses()
            assert "the database role a can bypass row security" in said, (make, said)
            rt.remove()
            server.sql("DROP OWNED BY a; DROP ROLE a")
        rt = OwnRuntime(server, owner)
        assert "flopinio_owner can bypass row security" in rt.refuses(), rt.log()
        rt.remove()
        # A table of organizations without forced row security, whoever made it so.
        for spoil, mend in (
                ("ALTER TABLE agent NO FORCE ROW LEVEL SECURITY",
                 "ALTER TABLE agent FORCE ROW LEVEL SECURITY"),
                ("CREATE TABLE extra (organization_id uuid)", "DROP TABLE extra")):
            server.sql(spoil)
            rt = OwnRuntime(server, app)
            assert "has no forced row security" in rt.refuses(), rt.log()
            rt.remove()
            server.sql(mend)
        rt = OwnRuntime(server, app)
        rt.start()
        end(rt)


@case(limit=60)
def an_unsafe_server_is_refused(_rt):
    with OwnServer() as server:
        app, _ = made(server)
        server.sql("ALTER SYSTEM SET fsync = off")
        server.sql("SELECT pg_reload_conf()")
        rt = OwnRuntime(server, app)
        assert "fsync=off" in rt.refuses(), rt.log()
        rt.remove()


@case(limit=60)
def roles_by_an_administrator(_rt):
    """The printed SQL does what --roles does, also a second time; and --roles works as a role that is
    no superuser."""
    with OwnServer() as server:
        text = migrate("--roles-sql").stdout
        for _ in range(2):
            done = subprocess.run([TOOLS + "/psql", "-v", "ON_ERROR_STOP=1", "-q", server.url()],
                                  input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True)
            assert done.returncode == 0, done
        server.sql("ALTER ROLE flopinio_owner PASSWORD 'o'")
        server.sql("ALTER ROLE flopinio_app PASSWORD 'a'")
        done = migrate(FLOPINIO_OWNER_URL=server.url("flopinio_owner", "o", "flopinio"))
        assert done.returncode == 0 and "from schema 0" in done.stdout, done
        rt = OwnRuntime(server, server.url("flopinio_app", "a", "flopinio"))
        rt.start()
        end(rt)
    with OwnServer() as server:
        server.sql("CREATE ROLE dba LOGIN CREATEROLE CREATEDB PASSWORD 'd'", database="postgres")
        done = migrate("--roles", FLOPINIO_ADMIN_URL=server.url("dba", "d"))
        assert done.returncode == 0 and "from schema 0" in done.stdout, done
        bypass = server.sql("SELECT rolbypassrls FROM pg_roles WHERE rolname = 'flopinio_backup'")
        assert bypass == [(False,)], bypass


@case(limit=60)
def secrets_of_the_command_line(_rt):
    """URLs come from the environment or a file; a flag with one is refused by name."""
    refused = subprocess.run([BUILD + "/flopinio", "serve", "--database-url=postgresql://x:y@z/"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert refused.returncode == 2 and "command line" in refused.stderr, refused
    assert "x:y" not in refused.stderr
    missing = migrate()
    assert missing.returncode == 2 and "FLOPINIO_OWNER_URL" in missing.stderr, missing
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("postgresql://flopinio_owner:secret-word@127.0.0.1:1/flopinio\n")
        f.flush()
        away = migrate("--owner-url-file", f.name)
    assert away.returncode == 6 and "could not connect" in away.stderr, away
    assert "secret-word" not in away.stderr + away.stdout


# ---------------------------------------------------------------- a step of the schema in parts
KEY = ("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = "
       "'audit_event'::regclass")
NEW_KEY = [("PRIMARY KEY (organization_id, recorded_at, event_id)",)]
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
EVENT = ("INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, subject_kind, leaf) SELECT "
         "gen_random_uuid(), gen_random_uuid(), 'x', 'system', 'none', sha256(i::text::bytea) FROM "
         "generate_series(1, %d) i")


def back_to(server, version):
    """The schema as the steps up to that one make it."""
    steps = sorted(glob.glob(ROOT + "/runtime/store/migrations/*.sql"))
    with server.connect() as cur:
        cur.execute("DROP SCHEMA flopinio CASCADE; SET ROLE flopinio_owner; CREATE SCHEMA flopinio; "
                    "CREATE TABLE schema_version (version integer PRIMARY KEY, applied_at timestamptz "
                    "NOT NULL DEFAULT now()); GRANT USAGE ON SCHEMA flopinio TO flopinio_app, "
                    "flopinio_verifier, flopinio_backup; GRANT SELECT ON schema_version TO "
                    "flopinio_app, flopinio_verifier")
        for step in steps:
            number = int(os.path.basename(step).split("_")[0])
            if number > version:
                break
            with open(step) as f:
                cur.execute(f.read())
            cur.execute("INSERT INTO schema_version (version) VALUES (%s)", (number,))


@contextlib.contextmanager
def migrating(server, owner):
    """A migration that runs beside; (its process, what tells whether it waits for a lock)."""
    process = subprocess.Popen([BUILD + "/flopinio", "migrate"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True,
                               env=plain_env(FLOPINIO_OWNER_URL=owner))

    def waits():
        return server.sql("SELECT pid, query FROM pg_stat_activity WHERE application_name = "
                          "'flopinio-admin' AND wait_event_type = 'Lock'")
    try:
        yield process, waits
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def transaction(server, statement, level="READ COMMITTED"):
    """The locks of that statement; where reads are repeatable, its snapshot too."""
    conn = psycopg2.connect(server.url(database="flopinio"), options="-csearch_path=flopinio")
    conn.set_session(isolation_level=level)
    try:
        with conn.cursor() as cur:
            cur.execute(statement)
        yield
    finally:
        conn.close()


@case(limit=120)
def a_step_that_was_killed_half_way_is_taken_up(_rt):
    """The keys of the audit were built with everything locked, and nobody called meanwhile."""
    with OwnServer() as server:
        _, owner = made(server)
        back_to(server, 37)
        server.sql(EVENT % 10000)
        patient = "SET lock_timeout = '1s'; " + EVENT % 1
        # An index waits for all that are older than it, and keeps nobody.
        with transaction(server, "SELECT 1", "REPEATABLE READ"), \
                migrating(server, owner) as (process, waits):
            ((pid, query),) = wait_for("an index", waits, 30)
            assert "CONCURRENTLY" in query, query
            assert server.sql(patient) == 1
            server.sql("INSERT INTO organization (organization_id, name) VALUES (gen_random_uuid(), 'a')")
            server.sql("SELECT pg_terminate_backend(%s)", pid)
            assert process.wait(30) != 0
        assert len(server.sql(INVALID)) == 1
        # The rest waits for one table, and has not the audit locked.
        with transaction(server, "SELECT 1 FROM organization"), \
                migrating(server, owner) as (process, waits):
            wait_for("the last part", lambda: server.sql(KEY) == NEW_KEY and waits(), 30)
            assert server.sql(patient) == 1 and server.sql(INVALID) == []
            process.kill()
            process.wait(30)
            assert server.sql("SELECT max(version) FROM schema_version") == [(37,)]
        done = migrate(FLOPINIO_OWNER_URL=owner)
        assert done.returncode == 0 and "from schema 37 to 39" in done.stdout, done
        assert server.sql(KEY) == NEW_KEY and server.sql(INVALID) == []
        keys = server.sql("SELECT c.conrelid::regclass::text, c.conname::text, pg_get_constraintdef(c.oid), "
                          "c.conparentid <> 0 FROM pg_constraint c JOIN pg_inherits h ON h.inhrelid = "
                          "c.conrelid WHERE c.contype = 'p' AND h.inhparent = 'audit_event'::regclass")
        assert len(keys) == 3 and all(k[1:] == (k[0] + "_pkey", NEW_KEY[0][0], True) for k in keys), keys
        assert server.sql("SELECT 1 FROM pg_class WHERE relname LIKE '%%\\_order'") == []
        assert server.sql("SELECT count(*) FROM audit_event") == [(10002,)]


LEAD = ("SELECT i.indexrelid::regclass::text, c.relispartition FROM pg_index i JOIN pg_class c ON c.oid = "
        "i.indexrelid WHERE pg_get_indexdef(i.indexrelid) LIKE '%%(organization_id, actor_id, recorded_at) "
        "WHERE%%' AND i.indisvalid")


@case(limit=120)
def an_index_by_actor_that_was_killed_half_way_is_built(_rt):
    """As above; and what the program before wrote leads nobody."""
    with OwnServer() as server:
        _, owner = made(server)
        back_to(server, 38)
        server.sql(EVENT % 10000)
        with transaction(server, "SELECT 1", "REPEATABLE READ"), \
                migrating(server, owner) as (process, waits):
            ((pid, query),) = wait_for("an index", waits, 30)
            assert "CONCURRENTLY" in query, query
            assert server.sql("SET lock_timeout = '1s'; " + EVENT % 1) == 1
            server.sql("SELECT pg_terminate_backend(%s)", pid)
            assert process.wait(30) != 0
        assert len(server.sql(INVALID)) == 1
        with transaction(server, "LOCK TABLE schema_version IN SHARE MODE"), \
                migrating(server, owner) as (process, waits):
            wait_for("the last part", lambda: server.sql(INVALID) == [] and waits(), 30)
            process.kill()
            process.wait(30)
            assert server.sql("SELECT max(version) FROM schema_version") == [(38,)]
        done = migrate(FLOPINIO_OWNER_URL=owner)
        assert done.returncode == 0 and "from schema 38 to 39" in done.stdout, done
        found = server.sql(LEAD)
        assert len(found) == 4 and sum(is_part for _, is_part in found) == 3, found
        assert server.sql("SELECT count(*) FROM audit_event WHERE has_lead IS NOT TRUE") == [(10001,)]
