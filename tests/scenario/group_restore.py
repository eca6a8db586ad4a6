"""A database that has forgotten: restored from a backup, copied back, promoted. Nothing runs on it
before the operator's word, nothing runs a second time after it, and nobody comes back in."""
import collections
import json
import os
import re
import shutil
import subprocess
import time

import psycopg2

from cases import case
from harness import BUILD, LONG, ROOT, Org, Runtime, check_audit, refused, wait_for
from mcp_client import McpError, McpWs, text_of
from test_database import TOOLS, OwnServer, made, migrate

APPEND = "s__append_line"
KEY = "dev.flopinio/idempotencyKey"
HOW_MANY = 400 if LONG else 200
TIMES = dict(dispatch_time="1s", execute_time="6s", unknown_grace="200ms", pending_max="1000",
             hold="5s")
WORD = "rozen: the database is not as it was left"


class Place(Runtime):
    """A runtime whose data directory may be left behind for another one."""

    def __init__(self, **settings):
        times = dict(TIMES)
        times.pop("hold")
        super().__init__(**dict(times, **settings))

    def flopinio(self, *words, status=0, data=None, plain=False, **env):
        """A command about this installation; plain: one that knows of none."""
        place = [] if plain else ["--data-dir", data or self.data, "--config",
                                  self.base + "/flopinio.yaml"]
        done = subprocess.run(
            [BUILD + "/flopinio"] + list(words) + place,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=90,
            stdin=subprocess.DEVNULL, env=dict(os.environ, **env))
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def move_to(self, name):
        """Another data directory, in which nothing is yet."""
        for conn in self._pools:
            conn.close()
        self._pools = []
        self.data = self.base + "/" + name
        self.run_dir = self.data + "/run"

    def start_frozen(self):
        since = self.frozen_from = self.log_size()
        self.spawn()
        try:
            wait_for("the word that it is frozen", lambda: WORD in self.log(since) and
                     self.answers()[0] == 503 and WORD in self.answers()[1], 30)
        except AssertionError as e:
            with open(self.data + "/epoch") as f:
                known = f.read()
            now = self.sql("SELECT pg_walfile_name(pg_current_wal_flush_lsn()) AS file, "
                           "pg_current_wal_flush_lsn() - '0/0' AS wal")
            if os.path.exists(self.data + "/postgres/promoted.log"):
                with open(self.data + "/postgres/promoted.log") as f:
                    print(f.read(), os.listdir(self.data + "/postgres/pg_wal"))
            raise AssertionError("%s: %s; known: %s now: %s\n%s" % (e, self.answers(), known, now,
                                                                  self.log(since)))

    def answers(self):
        try:
            return self.metrics("/ready")
        except OSError:
            return 0, ""

    def says(self, why):
        """A look that is slow gets no answer at all."""
        said = []

        def look():
            said.append(self.answers())
            return why in said[-1][1]
        try:
            wait_for("the word why", look, 10)
        except AssertionError:
            raise AssertionError("not %r but %s" % (why, said[-5:])) from None

    def wait_thawed(self):
        """Every worker, without a new start."""
        wait_for("the workers to go on", lambda: self.log(self.frozen_from).count(
            " worker_ready ") >= int(self.settings["workers"]) and self.is_ready(), 20)

    def as_database_user(self, *words):
        owner = os.stat(self.base + "/" + words[2] if not words[2].startswith("/") else words[2])

        def become():
            if os.geteuid() == 0:
                os.setgid(owner.st_gid)
                os.setuid(owner.st_uid)
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                       preexec_fn=become)


def tools_of(rt):
    with open(rt.data + "/postgres/PG_VERSION") as f:
        return "/usr/lib/postgresql/%s/bin/" % f.read().strip()


def copy_database(rt, name):
    """What a snapshot of the disk, or a standby, has at this moment: of a stopped one."""
    to = rt.base + "/" + name
    subprocess.run(["cp", "-a", rt.data + "/postgres", to], check=True)
    return to


def put_database(rt, source):
    shutil.rmtree(rt.data + "/postgres")
    os.rename(source, rt.data + "/postgres")


def promote(rt, data):
    """The copy as a standby that becomes the primary: a new timeline."""
    with open(data + "/standby.signal", "w"):
        pass
    st = os.stat(data)
    os.chown(data + "/standby.signal", st.st_uid, st.st_gid)
    ctl = tools_of(rt) + "pg_ctl"
    rt.as_database_user(ctl, "-D", data, "-w", "-l", data + "/promoted.log", "start")
    rt.as_database_user(ctl, "-D", data, "-w", "promote")
    rt.as_database_user(ctl, "-D", data, "-w", "-m", "fast", "stop")


def server_connection(server):
    conn = psycopg2.connect(server.url(database="flopinio"), options="-csearch_path=flopinio")
    conn.autocommit = True
    return conn


# ---------------------------------------------------------------- a day's work
class Work:
    """Approvals in every state; two agents, one that stays and one that went away."""

    def __init__(self, rt, how_many, gated=1):
        self.rt = rt
        self.gated = gated
        self.org = org = Org(rt, files=False, scenario=True, own_people=True)
        self.count = how_many // 2
        self.gone_id, gone_credential = org.add_agent("gone")
        self.gone_credential = gone_credential
        self.stays = McpWs(rt, org.credential)
        with McpWs(rt, gone_credential) as gone:
            for i in range(self.count):
                self.call(self.stays, "a%d" % i)
                self.call(gone, "b%d" % i)
            org.wait_pending(how_many, 60)
            gone.drop()
        wait_for("nobody to wait for those of the one that left", lambda: not rt.sql(
            "SELECT 1 FROM approval WHERE wait_mode = 'held' AND agent_id = (SELECT agent_id FROM "
            "agent WHERE name = 'gone')"), 30)
        self.lines = {row["idempotency_key"]: row["approval_id"] for row in org.rows()}

    def call(self, agent, line):
        """Its name is the line that it appends."""
        gate = {"gate": "go"} if line in ["a%d" % i for i in range(self.gated)] else {}
        return agent.call_start(APPEND, dict(gate, line=line), meta={KEY: line})

    def decide(self, who, letter, numbers, verdict="approve"):
        for i in numbers:
            who.decide(self.lines["%s%d" % (letter, i)], verdict)

    def state(self, line):
        return self.org.state(self.lines[line])

    def before(self):
        """Some of each state that it comes to by itself; and two that were claimed."""
        org, ann = self.org, self.org.ann
        self.decide(ann, "a", range(self.gated, 12))
        self.decide(ann, "a", range(12, 20), "reject")
        self.decide(ann, "b", range(0, 30))
        for i in range(self.gated, 12):
            org.wait_state(self.lines["a%d" % i], "succeeded")
        for i in range(self.gated):  # it keeps the plugin busy
            self.decide(ann, "a", [i])
            org.wait_state(self.lines["a%d" % i], "dispatched")
        # A worker that died right behind its claim.
        self.rt.sql("UPDATE approval SET state = 'claimed', fence = fence + 1, lease_until = now() + "
                    "interval '1 hour' WHERE approval_id = ANY (%s::uuid[])",
                    [self.lines["b28"], self.lines["b29"]])
        org.is_edited = True

    def since(self, restarted=False):
        """All of it is decided, and run."""
        org, bob = self.org, self.org.bob
        n = self.count
        self.rt.sql("UPDATE approval SET lease_until = now() WHERE state = 'claimed'")
        org.open_gate("go")
        self.decide(bob, "a", range(20, n - 10))
        self.decide(bob, "a", range(n - 10, n), "reject")
        self.decide(bob, "b", range(30, n - 10))
        self.decide(bob, "b", range(n - 10, n), "reject")
        if restarted:
            self.stays = McpWs(self.rt, org.credential)
        with McpWs(self.rt, self.gone_credential) as gone:
            calls = [self.call(gone, "b%d" % i) for i in range(n - 10)]
            calls += [self.call(self.stays, "a%d" % i) for i in range(20, n - 10) if restarted]
            for call in calls:
                assert not call.wait(60).get("isError"), call.wait()
        wait_for("all to be run", lambda: not self.rt.sql(
            "SELECT 1 FROM approval WHERE state IN ('pending', 'approved', 'claimed', 'dispatched')"),
            60)
        self.stays.drop()
        self.effects = self.check(len(self.ran()))

    def ran(self):
        n = self.count
        return ["a%d" % i for i in list(range(12)) + list(range(20, n - 10))] + \
            ["b%d" % i for i in range(n - 10)]

    def check(self, count):
        """Each effect once; returns them."""
        effects = self.org.effects()
        twice = [line for line, k in collections.Counter(effects).items() if k > 1]
        assert not twice, "a second effect of %s" % twice
        assert len(effects) == count, (len(effects), count)
        return effects

    def credentials_since(self):
        """Some revoked, some issued after the backup."""
        org = self.org
        org.revoke_credential(self.revoked_id)
        self.issued = org.add_credential()[1]
        self.rt.rest("DELETE", "/me/tokens", auth=(org.adam.name, org.adam.passphrase))
        self.new_token = org.bob.make_token()

    def make_revocable(self):
        self.rt.sql("INSERT INTO chat_identity (organization_id, kind, external_id, person_id) SELECT "
                    "%s, 'telegram', name, person_id FROM person WHERE name = ANY (%s)", self.org.id,
                    [self.org.ann.name, self.org.bob.name])
        assert self.rt.sql(
            "INSERT INTO call_grant (organization_id, grant_id, approval_id, agent_id, server_id, "
            "tool, definition_digest, server_digest, rule, ask, pins, pinned, person_id, "
            "has_second_factor, uses, expires_at) SELECT organization_id, gen_random_uuid(), "
            "approval_id, agent_id, server_id, tool, definition_digest, '', rule, '{}', '[\"\"]', "
            "'', owner_id, false, 5, now() + interval '1 hour' FROM approval WHERE organization_id "
            "= %s LIMIT 1", self.org.id) == 1
        self.org.control("POST", "/people/%s/away" % self.org.ann.name,
                         {"until": "7d", "delegate": self.org.bob.name})
        self.revoked_id, self.revoked = self.org.add_credential()
        self.token = self.org.adam.token


def open_states(rt):
    return {r["state"]: r["n"] for r in rt.sql(
        "SELECT state, count(*)::int AS n FROM approval WHERE state IN ('pending', 'approved', "
        "'claimed', 'dispatched', 'unknown') GROUP BY 1")}


def tempt(work):
    """What a runtime goes on with by itself: a task that was approved, claims whose lease is over."""
    work.rt.sql("UPDATE approval SET wait_mode = 'task' WHERE approval_id = %s", work.lines["b1"])
    work.rt.sql("UPDATE approval SET lease_until = now() WHERE state = 'claimed'")


def nothing_moves(work, credential):
    """While it is frozen: who calls, decides or looks is told so; no row changes."""
    rt, org = work.rt, work.org
    tempt(work)
    before = open_states(rt)
    assert work.state("b1") == "approved"
    assert before.get("pending") and before.get("approved"), before
    changed = rt.sql("SELECT max(changed_at) AS at FROM approval")[0]["at"]
    try:
        McpWs(rt, credential)
        raise AssertionError("an agent got in")
    except McpError as e:
        assert e.code == 503 and WORD in str(e), e
    pending = rt.sql("SELECT approval_id FROM approval WHERE state = 'pending' LIMIT 1")[0]
    with refused(503, WORD):
        org.ann.approve(pending["approval_id"])
    with refused(503, WORD):
        rt.control("GET", org.path("/approvals"))
    said = rt.flopinio("doctor", status=1)
    assert "FAIL  epoch" in said and "flopinio recover" in said, said
    time.sleep(1)  # ten rounds of the sweep
    assert rt.sql("SELECT max(changed_at) AS at FROM approval")[0]["at"] == changed
    assert open_states(rt) == before
    work.check(len(work.effects))


def everything_ended(work, before):
    rt, org = work.rt, work.org
    states = open_states(rt)
    assert set(states) <= {"unknown"}, states
    assert states.get("unknown", 0) == before.get("dispatched", 0) + before.get("unknown", 0)
    leaves = org.audit(kind="runtime.restored")
    assert len(leaves) == 1 and leaves[0]["actor"]["kind"] == "operator", leaves
    data = leaves[0]["data"]
    assert data["cancelled"] == before["pending"], data
    assert data["unknown"] == before.get("dispatched", 0), data
    assert data["voided"] == before["approved"] + before.get("claimed", 0), data
    moved = [leaf for leaf in org.audit(kind="approval.") if
             "restored" in str(leaf["data"].get("reason", ""))]
    assert len(moved) == data["cancelled"] + data["voided"] + data["unknown"], len(moved)


def gets_in(rt, credential):
    try:
        with McpWs(rt, credential) as agent:
            agent.tools()
        return True
    except McpError as e:
        assert e.code == 401, e
        return False


# ---------------------------------------------------------------- the cases
@case(limit=150)
def a_restored_backup_is_frozen_and_nothing_runs_twice(_rt):
    rt = Place(execute_time="60s")  # one is dispatched until the backup is made, however long that takes
    work = Work(rt, HOW_MANY)
    org = work.org
    work.make_revocable()
    work.before()
    # A month whose partition was made since the last start is in it too.
    rt.sql("SELECT audit_partition(now() + interval '2 months')")
    saved = rt.base + "/backup"
    said = rt.flopinio("backup", saved)
    assert "they are not in it" in said and "primary 1 and the index key" in said, said
    assert sorted(os.listdir(saved)) == ["database.dump", "manifest.json"], os.listdir(saved)
    assert os.stat(saved).st_mode & 0o777 == 0o700
    with open(saved + "/manifest.json") as f:
        manifest = json.load(f)
    assert manifest["epoch"] == 1 and not manifest["keys"]["included"], manifest
    before = open_states(rt)
    assert set(before) == {"pending", "approved", "claimed", "dispatched"}, before
    work.since()
    work.credentials_since()
    assert rt.stop() == 0
    keys = rt.data + "/secrets/keys"
    rt.move_to("data2")
    said = rt.flopinio("restore", saved, "--keys", keys)
    assert "nothing runs until you call: flopinio recover" in said, said
    rt.settings["execute_time"] = TIMES["execute_time"]  # for so long recover waits
    rt.start_frozen()
    assert open_states(rt) == before
    nothing_moves(work, work.revoked)
    said = rt.flopinio("recover", "--dry-run")
    assert "%d waiting cancelled" % before["pending"] in said, said
    assert open_states(rt) == before
    nothing_moves(work, org.credential)
    said = rt.flopinio("recover", "--keep", "nobody-of-that-name", status=2)
    assert "there is no person and no agent 'nobody-of-that-name'" in said, said
    assert open_states(rt) == before
    said = rt.flopinio("recover")
    assert "waiting " in said and "recovered" in said and org.name + "/gone" in said, said
    rt.wait_thawed()  # what waited frozen goes on by itself
    everything_ended(work, before)
    for credential in (work.revoked, work.issued, org.credential, work.gone_credential):
        assert not gets_in(rt, credential)
    assert not rt.sql("SELECT 1 FROM chat_identity"), "a chat account still stands for somebody"
    grants = rt.sql("SELECT revoked_at FROM call_grant")
    assert grants and all(g["revoked_at"] for g in grants), "a grant lets calls run still"
    assert rt.sql("SELECT 1 FROM delegation") == [], "somebody decides for who may be back"
    assert [e["data"]["reason"] for e in org.audit(kind="delegation.ended")] == ["restored"]
    for proof in (work.token, work.new_token, org.ann.token,
                  (org.ann.name, org.ann.passphrase)):
        with refused(401):
            rt.rest("GET", "/me", auth=proof)
    work.check(len(work.effects))
    # The operator lets them in anew; what was asked before is asked again, and decided again.
    rt.people.clear()
    org.control("POST", "/people/%s/passphrase" % org.ann.name, {"passphrase": org.ann.passphrase})
    org.ann._token = None
    fresh = org.add_credential()[1]
    with McpWs(rt, fresh) as agent:
        told = text_of(agent.call("approval_status", {"approval_id": work.lines["a30"]}))
        assert "may have happened" in told and "restored" in told, told
        told = text_of(work.call(agent, "a30").wait())
        assert "may have happened" in told, told
        call = agent.call_start(APPEND, {"line": "again"})
        again = org.wait_pending()
        work.check(len(work.effects))
        org.ann.approve(again)
        assert not call.wait().get("isError")
    work.check(len(work.effects) + 1)
    said = rt.flopinio("recover")
    assert "nothing to recover" in said, said
    assert rt.stop() == 0
    Org.made.remove(org)
    rt.remove()


@case(limit=120)
def a_promoted_standby_and_a_copied_back_database_are_frozen(_rt):
    """By the timeline, though it lost nothing but what came after; by the log, though it is the same
    server's. And the canary: without the look at the epoch a second effect is seen."""
    rt = Place()
    work = Work(rt, 100, gated=0)  # what runs would end with the runtime here
    org = work.org
    work.make_revocable()
    work.before()
    before = open_states(rt)
    rt.stop()
    standby, old, blind = (copy_database(rt, name) for name in ("standby", "old", "blind"))
    known = rt.base + "/known"
    rt.start()
    work.since(restarted=True)
    work.credentials_since()
    rt.stop()
    shutil.copy(rt.data + "/epoch", known)
    # A standby that was behind becomes the primary.
    promote(rt, standby)
    put_database(rt, standby)
    rt.start_frozen()
    rt.says("it goes on from a backup or a standby")
    nothing_moves(work, work.revoked)
    rt.stop()
    said = rt.flopinio("recover", "--keep", org.name + "/bot", "--keep", org.ann.name)
    assert "recovered" in said, said
    rt.start()
    everything_ended(work, before)
    assert gets_in(rt, org.credential) and not gets_in(rt, work.gone_credential)
    assert rt.rest("GET", "/me", auth=org.ann.token)
    assert [r["external_id"] for r in rt.sql("SELECT external_id FROM chat_identity")] == \
        [org.ann.name]
    with refused(401):
        rt.rest("GET", "/me", auth=org.bob.token)
    work.check(len(work.effects))
    rt.stop()
    # The same server's files of before: only its log tells, and it does not heal by growing.
    put_database(rt, old)
    shutil.copy(known, rt.data + "/epoch")
    rt.start_frozen()
    rt.says("it is older than it was")
    rt.sql("SELECT pg_switch_wal()")
    for _ in range(40):
        rt.sql("CREATE TABLE filler AS SELECT repeat('x', 500) FROM generate_series(1, 20000)")
        rt.sql("DROP TABLE filler")
    rt.stop()
    rt.start_frozen()
    rt.says("it is older than it was")
    nothing_moves(work, work.revoked)
    rt.stop()
    # The canary: nobody looks.
    put_database(rt, blind)
    os.unlink(rt.data + "/epoch")
    ctl = tools_of(rt) + "pg_ctl"
    rt.as_database_user(ctl, "-D", rt.data + "/postgres", "-w", "-l",
                        rt.data + "/postgres/blind.log", "start")
    rt.sql("UPDATE installation SET epoch = 0")
    rt.start()
    tempt(work)
    wait_for("what it does by itself", lambda: work.state("b1") == "succeeded" and
             "claimed" not in open_states(rt))
    with McpWs(rt, work.gone_credential) as gone:
        work.call(gone, "b0").wait()
    try:
        work.check(len(work.effects) + 1)
        raise RuntimeError("a second effect was not noticed")
    except AssertionError as e:
        assert "a second effect of" in str(e) and "'b0'" in str(e) and "'b1'" in str(e), e
    rt.stop()
    Org.made.remove(org)
    rt.remove()


@case(limit=90)
def a_backup_that_does_not_fit_is_refused(_rt):
    """Where something is already, with another digest, without the right keys: said, and nothing is
    changed. With everything in its place it comes back, whether it ran or not when it was saved."""
    rt = Place(workers=1)
    org = Org(rt, files=False, scenario=True)
    held = McpWs(rt, org.credential).call_start(APPEND, {"line": "one"})
    org.wait_pending()
    one, all_in_one = rt.base + "/one", rt.base + "/all"
    rt.flopinio("backup", one)
    said = rt.flopinio("backup", one, status=1)
    assert "is there already" in said, said
    said = rt.flopinio("restore", one, status=5)
    assert "it is running already" in said, said
    rt.stop()
    assert not held.is_done() or held.wait()
    said = rt.flopinio("restore", one, status=5)
    assert "there is an installation in it already" in said, said
    said = rt.flopinio("backup", all_in_one + "/", "--with-keys")
    assert "whoever has it reads everything" in said, said
    assert not rt.postmaster(), "the database was left running"
    keys = rt.data + "/secrets/keys"
    with open(keys) as f:
        right = f.read()
    empty = rt.base + "/empty"
    said = rt.flopinio("restore", one, data=empty, status=1)
    assert "needs the encryption keys primary 1 and the index key" in said, said
    wrong = rt.base + "/wrong"
    for text, what in ((right.replace("primary 1 ", "primary 7 "), "key 1"),
                       (re.sub("(?m)^primary 1 .*$", "primary 1 active " + "A" * 43 + "=", right),
                        "key 1"),
                       (re.sub("(?m)^index.*$", "index " + "B" * 42 + "A=", right), "index")):
        with open(wrong, "w") as f:
            f.write(text)
        os.chmod(wrong, 0o600)
        said = rt.flopinio("restore", one, "--keys", wrong, data=empty, status=1)
        assert what in said and wrong in said, said
        assert not os.path.exists(empty + "/secrets/keys")
    spoilt = rt.base + "/spoilt"
    shutil.copytree(one, spoilt)
    with open(spoilt + "/database.dump", "r+b") as f:
        f.seek(5000)
        f.write(b"?")
    said = rt.flopinio("restore", spoilt, "--keys", keys, data=empty, status=2)
    assert "is not what was backed up" in said, said
    with open(one + "/manifest.json") as f:
        newer = json.load(f)
    newer["schema"] += 1
    with open(spoilt + "/manifest.json", "w") as f:
        json.dump(newer, f)
    said = rt.flopinio("restore", spoilt, "--keys", keys, data=empty, status=2)
    assert "use the newer program" in said, said
    # Still empty: now with the keys that the second one brings along.
    said = rt.flopinio("restore", all_in_one, data=empty)
    assert "frozen" in said, said
    said = rt.flopinio("restore", all_in_one, data=empty, status=5)
    assert "there is an installation in it already" in said, said
    said = rt.flopinio("recover", "--keep", "all", data=empty, FLOPINIO_EXECUTE_TIME="100ms")
    assert "1 waiting cancelled" in said and "revoked" not in said.split("recovered")[0], said
    rt.move_to("empty")
    rt.start()
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "two"})
        org.ann.approve(org.wait_pending())
        assert not call.wait().get("isError")
    assert org.effects() == ["two"], org.effects()
    # The whole directory copied back looks as it was: only the operator knows.
    assert "it serves; stop it first" in rt.flopinio("recover", "--force", status=5)
    rt.stop()
    said = rt.flopinio("recover", "--force", "--keep", org.name + "/bot")
    assert "recovering because of --force" in said and "recovered" in said, said
    rt.start()
    assert gets_in(rt, org.credential)
    check_audit(org)
    Org.made.remove(org)
    rt.stop()
    rt.remove()


@case(limit=150)
def a_private_database_moves_to_the_next_major_version(_rt):
    """PostgreSQL 15 or 16 to 17, as docs/operator.md tells: nothing is lost but what waited."""
    rt = Place(workers=1)
    assert rt.sql("SHOW server_version")[0]["server_version"] < "17", "the newest is there already"
    newer = subprocess.run([ROOT + "/tests/postgres/newer.sh"], stdout=subprocess.PIPE, check=True,
                           text=True).stdout.strip()
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        done = agent.call_start(APPEND, {"line": "one"})
        org.ann.approve(org.wait_pending())
        assert not done.wait().get("isError")
        agent.call_start(APPEND, {"line": "waits"})
        waits = org.wait_pending()
    rows = len(rt.sql("SELECT 1 FROM audit_event"))
    assert rt.stop() == 0
    rt.flopinio("backup", rt.base + "/moved", "--with-keys")
    old = rt.data
    rt.move_to("newer")
    rt.settings["postgres_bin"] = newer
    rt._write_config()
    rt.flopinio("restore", rt.base + "/moved")
    said = rt.flopinio("recover", "--keep", "all", FLOPINIO_EXECUTE_TIME="100ms")
    assert "1 waiting cancelled" in said, said
    # The old files are not opened by the new version, and are as they were.
    said = rt.flopinio("backup", rt.base + "/never", data=old, status=6)
    assert "files are incompatible with server" in said, said
    rt.start()
    assert rt.sql("SHOW server_version")[0]["server_version"] >= "17"
    assert len(rt.sql("SELECT 1 FROM audit_event")) > rows
    assert org.state(waits) == "cancelled"
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "two"})
        org.ann.approve(org.wait_pending())
        assert not call.wait().get("isError")
    assert org.effects() == ["one", "two"], org.effects()
    check_audit(org)
    Org.made.remove(org)
    rt.stop()
    rt.remove()


@case(limit=120)
def a_database_of_ones_own_is_frozen_on_each_node(_rt):
    """Dropped and restored by an administrator under a worker that serves; another node needs the file
    of the first one."""
    with OwnServer() as server:
        app, owner = made(server)
        server.sql("ALTER ROLE flopinio_backup PASSWORD 'b'")
        backup_url = server.url("flopinio_backup", "b", "flopinio")
        rt = Place(start=False, database_url=app, workers=1)
        rt.connect = lambda role="super": server_connection(server)
        rt.start()
        org = Org(rt, files=False, scenario=True)
        with McpWs(rt, org.credential) as agent:
            agent.call_start(APPEND, {"line": "one"})
            approval = org.wait_pending()
            saved = rt.base + "/saved"
            assert "FLOPINIO_BACKUP_URL is not set" in rt.flopinio("backup", saved, status=2)
            said = rt.flopinio("backup", saved, status=2, FLOPINIO_BACKUP_URL=app)
            assert "made as flopinio_backup" in said, said
            rt.flopinio("backup", saved, FLOPINIO_BACKUP_URL=backup_url)
            org.ann.approve(approval)
            wait_for("the effect", lambda: org.effects() == ["one"])
        # A node that does not know the database.
        other = Runtime(start=False, database_url=app, workers=1,
                        keys_file=rt.data + "/secrets/keys")
        other.spawn()
        wait_for("its word", lambda: "this node has no epoch file of it" in other.log(), 30)
        shutil.copy(rt.data + "/epoch", other.data + "/epoch")
        wait_for("the other node", other.is_ready, 30)
        other.stop()
        # Restored while it serves: the worker that lived through it goes.
        worker = rt.workers()[0]
        said = rt.flopinio("restore", saved, "--keys", rt.data + "/secrets/keys", status=5,
                           data=rt.base + "/elsewhere", FLOPINIO_OWNER_URL=owner)
        assert "the database: there is an installation in it already" in said, said
        rt.frozen_from = rt.log_size()
        server.sql("DROP SCHEMA flopinio CASCADE")
        rt.flopinio("restore", saved, "--keys", rt.data + "/secrets/keys",
                    data=rt.base + "/elsewhere", FLOPINIO_OWNER_URL=owner)
        wait_for("the word that it is frozen", lambda: "it was made anew" in rt.answers()[1], 30)
        assert worker not in rt.workers()
        assert org.row(approval)["state"] == "pending"
        with refused(503, WORD):
            org.ann.approve(approval)
        said = rt.flopinio("recover", "--keep", "all")
        assert "1 waiting cancelled" in said, said
        rt.wait_thawed()
        assert org.row(approval)["state"] == "cancelled"
        assert org.effects() == ["one"], org.effects()
        # The other node knows the database of before.
        other.spawn()
        wait_for("the other node's word", lambda: "it was made anew" in other.log(), 30)
        other.stop()
        other.remove()
        owners = server.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'flopinio'")
        assert owners == [("flopinio_owner",)], owners
        rt.stop()
        Org.made.remove(org)
        rt.remove()


def load_rows(server, rows):
    """As an administrator would: over what is there, whatever of it is refused."""
    done = subprocess.run([TOOLS + "/psql", "-Xq", "-c", "SET session_replication_role = replica",
                           "-f", rows, server.url(database="flopinio")], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr


@case(limit=120)
def older_rows_loaded_by_hand_would_have_run_again(_rt):
    """pg_restore --data-only: server, database, tables and log are those that were there. While it
    serves, over rows of its own; and into a fresh installation, whose own row stays."""
    with OwnServer() as server:
        app, owner = made(server)
        rt = Place(start=False, database_url=app, workers=1)
        rt.connect = lambda role="super": server_connection(server)
        rt.start()
        org = Org(rt, files=False, scenario=True)
        agent = McpWs(rt, org.credential)
        agent.call_start(APPEND, {"line": "one"}, meta={KEY: "one"})
        approval = org.wait_pending()
        agent.drop()
        wait_for("nobody to wait for it", lambda: org.row(approval)["wait_mode"] == "left")
        org.ann.approve(approval)
        assert org.state(approval) == "approved"
        rows = rt.base + "/rows"
        subprocess.run([TOOLS + "/pg_dump", "--data-only", "--schema=flopinio", "--file=" + rows,
                        server.url(database="flopinio")], check=True, stderr=subprocess.DEVNULL)
        with McpWs(rt, org.credential) as agent:
            assert not agent.call(APPEND, {"line": "one"}, meta={KEY: "one"}).get("isError")
        assert org.effects() == ["one"]
        said = "rows of the organization %s were loaded" % org.name

        def stays_frozen():
            assert said in rt.answers()[1], rt.answers()
            assert org.state(approval) == "approved"
            try:
                McpWs(rt, org.credential)
                raise AssertionError("an agent got in")
            except McpError as e:
                assert e.code == 503 and said in str(e), e
            assert said in rt.flopinio("doctor", status=1)

        def recovers():
            told = rt.flopinio("recover", "--keep", "all", FLOPINIO_EXECUTE_TIME="100ms")
            assert "1 approved withdrawn" in told and "recovered" in told, told
            rt.wait_thawed()
            assert org.state(approval) == "voided"
            with McpWs(rt, org.credential) as agent:
                told = text_of(agent.call(APPEND, {"line": "one"}, meta={KEY: "one"}))
                assert "may have happened" in told, told
            assert org.effects() == ["one"], "it ran a second time"

        rt.frozen_from = rt.log_size()
        tables = server.sql("SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE "
                            "schemaname = 'flopinio' AND tablename <> 'schema_version'")[0][0]
        server.sql("TRUNCATE %s" % tables)
        load_rows(server, rows)
        wait_for("the word that it is frozen", lambda: said in rt.answers()[1], 60)
        stays_frozen()
        recovers()
        # An organization that is made afterwards is none that was loaded.
        more = Org(rt, files=False)
        rt.stop()
        rt.start()
        assert rt.is_ready()
        rt.stop()
        # The keys are kept, and nothing else is.
        server.sql("DROP SCHEMA flopinio CASCADE")
        assert migrate(FLOPINIO_OWNER_URL=owner).returncode == 0
        os.unlink(rt.data + "/epoch")
        rt.start()
        rt.stop()
        refused_rows = load_rows(server, rows)
        assert "installation_pkey" in refused_rows, refused_rows
        rt.start_frozen()
        stays_frozen()
        rt.stop()
        Org.made.remove(org)
        Org.made.remove(more)
        rt.remove()
