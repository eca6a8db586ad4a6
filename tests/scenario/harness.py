"""The scenario tests' runtime: a real `flopinio serve` with its real private PostgreSQL.

    rt = Runtime(lease_time="1s")        one installation in a directory of its own, free ports
    org = Org(rt)                        a fresh organization: people, agent, files server, policy
    with McpWs(rt, org.credential) as c: ...
    org.ann.approve(approval_id)
    org.wait_state(approval_id, "succeeded")
    org.kinds(approval_id)               the audit kinds of this approval, in order

Barriers, not sleeps: wait_for() and its friends look again until it is so or the time is up.
Standard library and psycopg2 only.
"""
import atexit
import base64
import contextlib
import ctypes
import glob
import hashlib
import http.client
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import psycopg2

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FLOPINIO_BUILD") or os.environ.get("FL_BUILD") or
                        os.path.join(ROOT, "build/debug"))
LONG = os.environ.get("FL_LONG", "0") == "1"

# Times that fit a test; Runtime(name=value) overrides any of them, or adds any other setting.
TIMES = {
    "lease_time": "2s", "dispatch_time": "5s", "execute_time": "20s", "unknown_grace": "300ms",
    "leave_grace": "2s", "sweep_time": "100ms", "progress_time": "300ms", "keepalive_time": "500ms",
    "drain_time": "5s", "workers": "2", "operator_authority": "always", "log_level": "info",
}

RELOADABLE = {k for k in TIMES if k.endswith(("_time", "_grace"))} | {
    "pending_max", "result_max_bytes", "in_flight_bytes"}

POLICY = """version: 1
rules:
  - name: reads
    tools: ["*"]
    effect: allow
  - name: deletes
    tools: [files__delete]
    effect: ask
    reason: what is deleted is gone
    ask:
      thresholds: [{approve: 2}]
  - name: writes
    tools: ["*"]
    effect: ask
"""

PASSPHRASE = "seven green bottles "


class RestError(Exception):
    def __init__(self, status, body):
        error = body.get("error", {}) if isinstance(body, dict) else {}
        super().__init__("%s %s" % (status, error.get("text") or body))
        self.status = status
        self.code = error.get("code")
        self.text = error.get("text", "")
        self.body = body


def wait_for(what, look, timeout=20, every=0.02):
    """Looks until it is true; returns what it saw."""
    until = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > until:
            raise AssertionError("%s did not happen within %s s" % (what, timeout))
        time.sleep(every)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody has. From below those that the kernel gives to outgoing connections:
    one of them could be taken before whoever asked has begun to listen."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        below = int(f.read().split()[0])
    held = []
    with contextlib.ExitStack() as end:
        while len(held) < count:
            s = end.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                s.bind(("0.0.0.0", random.randrange(max(1024, below - 20000), below)))
                held.append(s)
        return [s.getsockname()[1] for s in held]


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def command_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().decode().split("\0")[:-1]
    except OSError:
        return []


def end_pid(pid, first=signal.SIGTERM, seconds=5):
    """Ends one process by its number."""
    for sig, wait in ((first, seconds), (signal.SIGKILL, 5)):
        try:
            os.kill(pid, sig)
        except OSError:
            return
        until = time.monotonic() + wait
        while is_alive(pid) and time.monotonic() < until:
            time.sleep(0.02)
        if not is_alive(pid):
            return


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _remove_stale():
    """Directories of test processes that were killed; what they started ended with them."""
    for path in glob.glob(tempfile.gettempdir() + "/flopinio-scenario-*-*"):
        owner = path.rsplit("-", 2)[1]
        if owner.isdigit() and not os.path.exists("/proc/" + owner):
            shutil.rmtree(path, ignore_errors=True)


class Runtime:
    """An installation. start() and stop() may alternate; the data stays until remove()."""

    environment = {}  # beside this process's own

    def __init__(self, start=True, **settings):
        _remove_stale()
        self.base = tempfile.mkdtemp(prefix="flopinio-scenario-%d-" % os.getpid())
        os.chmod(self.base, 0o755)  # the database's user must get through
        self.plugins = self.base + "/plugins"   # of this runtime alone; tests replace files in it
        os.mkdir(self.plugins)
        if os.path.exists(BUILD + "/test-plugins"):  # not in a release build
            self.install_plugin("scenario")
        self.data = self.base + "/data"
        self.run_dir = self.data + "/run"
        self.log_path = self.base + "/serve.log"
        self.port, self.metrics_port = free_ports(2)
        self.settings = dict(TIMES, **{k: str(v) for k, v in settings.items()})
        self.process = None
        self.people = {}        # name -> token of people that Org shares
        self._pools = []
        atexit.register(self.remove)
        if start:
            self.start()

    # ---- the process
    is_ours = True  # not a program of before

    def command(self):
        flags = {"config": self.base + "/flopinio.yaml", "data_dir": self.data,
                 "listen": "127.0.0.1:%d" % self.port,
                 "metrics_listen": "127.0.0.1:%d" % self.metrics_port}
        if "plugin_dirs" not in self.settings:
            flags["plugin_dirs"] = self.plugins + "," + BUILD + "/plugins"
        return [BUILD + "/flopinio", "serve"] + ["--%s=%s" % f for f in flags.items()]

    def _write_config(self):
        with open(self.base + "/flopinio.yaml", "w") as f:
            json.dump(self.settings, f)  # JSON is YAML

    def configure(self, **settings):
        """Other times and limits (RELOADABLE) for the running workers, by SIGHUP."""
        wanted = dict(TIMES, **{k: str(v) for k, v in settings.items()})
        if wanted == self.settings:
            return
        self.settings = wanted
        self._write_config()
        since = self.log_size()
        self.process.send_signal(signal.SIGHUP)

        def told():
            """By process number: a successor that came meanwhile is told when it is ready."""
            log, workers = self.log(since), self.workers()
            return len(workers) == int(self.settings["workers"]) and \
                all(re.search(r" reloaded .*\bpid=%d\b" % pid, log) for pid in workers)

        try:
            wait_for("the reload", told)
        except AssertionError as e:
            raise AssertionError("%s; workers %s\n%s" % (e, self.workers(), self.log(since)))

    def spawn(self):
        self._write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=_die_with_parent,
                                            env=dict(os.environ, **self.environment))

    def start(self, timeout=120):
        since = self.log_size()
        self.spawn()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError("flopinio serve ended with %s:\n%s"
                                     % (self.process.returncode, self.log()))
            return self.log(since).count(" worker_ready ") == int(self.settings["workers"]) and \
                self.is_ready()
        wait_for("the runtime to be ready", ready, timeout, 0.03)

    def is_ready(self):
        try:
            return self.metrics("/ready")[0] == 200
        except OSError:
            return False

    def is_settled(self):
        """Has every worker come back from what the last case did to it? The one that answers is
        whichever takes the connection."""
        until = time.monotonic() + 10
        in_a_row = 0
        while in_a_row < 30 and self.process.poll() is None and time.monotonic() < until:
            in_a_row = in_a_row + 1 if self.is_ready() else 0
            if not in_a_row:
                time.sleep(0.1)
        return in_a_row == 30

    def metrics(self, path="/metrics"):
        conn = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        try:
            conn.request("GET", path)
            answer = conn.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as e:
            raise OSError(repr(e))
        finally:
            conn.close()

    def metric(self, name):
        """Workers say it once a second."""
        return int(re.search(r"^flopinio_%s (\d+)$" % name, self.metrics()[1], re.M).group(1))

    def install_plugin(self, name, source=None):
        """A test plugin under that name, in the place of the one that is there."""
        path = "%s/%s.so" % (self.plugins, name)
        shutil.copy("%s/test-plugins/%s.so" % (BUILD, source or name), path + ".new")
        os.rename(path + ".new", path)

    def log(self, since=0, tail=20000):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, "rb") as f:
            f.seek(since)
            return f.read().decode("utf-8", "replace")[-tail:]

    def sanitizers(self):
        """What a sanitizer said of any of its processes: the leaks of those that ended, too."""
        log = self.log(tail=1 << 30)
        for found in re.finditer(r"^.*(ERROR: \w+Sanitizer|runtime error: |WARNING: ThreadSanitizer).*",
                                 log, re.M):
            # Tools of the tests die of a signal on purpose, in their own processes.
            if " plugin_output " not in found.group(0) or "Sanitizer: SEGV" not in found.group(0):
                return log[max(0, found.start() - 200):][:20000]
        return ""

    def log_size(self):
        return os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0

    def workers(self):
        """Process numbers of the workers, in no order."""
        return [p for p in children_of(self.process.pid) if command_of(p)[1:2] == ["worker"]]

    def plugin_processes(self):
        return [p for w in self.workers() for p in children_of(w)
                if command_of(p)[1:2] == ["plugin-host"]]

    def kill_worker(self, pid, wait=True):
        """SIGKILL to one worker, then (wait=True) waits until its successor serves."""
        since = self.log_size()
        os.kill(pid, signal.SIGKILL)
        if wait:
            wait_for("a new worker", lambda: " worker_ready " in self.log(since), 20)

    def worker_of(self, conn):
        """The worker at the other end of a client's TCP socket."""
        port = conn.getsockname()[1]
        wanted = "0100007F:%04X 0100007F:%04X" % (self.port, port)
        with open("/proc/net/tcp") as f:
            inode = next(line.split()[9] for line in f if wanted in line)
        for pid in self.workers():
            for fd in os.listdir("/proc/%d/fd" % pid):
                try:
                    if os.readlink("/proc/%d/fd/%s" % (pid, fd)) == "socket:[%s]" % inode:
                        return pid
                except OSError:
                    pass
        raise AssertionError("no worker has the connection from port %d" % port)

    def stop(self, sig=signal.SIGTERM, timeout=40):
        """Stops the supervisor and whatever a killed one left. Returns its exit status."""
        if not self.process:
            return None
        pids = [self.process.pid] + self.workers() if self.process.poll() is None else []
        if pids:
            self.process.send_signal(sig)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "killed: it did not stop within %s s" % timeout
        else:
            status = self.process.returncode
        self.process = None
        assert not self.is_ours or "handles_left_open" not in self.log(), \
            "a worker left something open when it stopped"
        for pid in pids[1:]:
            if is_alive(pid) and command_of(pid)[1:2] == ["worker"]:
                end_pid(pid, signal.SIGKILL)
        return status

    def remove(self):
        """Stops all, deletes all."""
        atexit.unregister(self.remove)
        for conn in self._pools:
            conn.close()
        self._pools = []
        self.stop()
        pid = self.postmaster()
        if pid:
            end_pid(pid, signal.SIGINT)
        socket_dir = self._socket_dir()
        if socket_dir and os.path.basename(socket_dir).startswith("flopinio-"):
            shutil.rmtree(socket_dir, ignore_errors=True)
        shutil.rmtree(self.base, ignore_errors=True)

    # ---- the database
    def postmaster(self):
        try:
            with open(self.data + "/postgres/postmaster.pid") as f:
                pid = int(f.readline())
        except (OSError, ValueError):
            return None
        return pid if is_alive(pid) and "postgres" in " ".join(command_of(pid)) else None

    def _socket_dir(self):
        try:
            with open(self.data + "/postgres/postgresql.conf") as f:
                found = re.search(r"unix_socket_directories = '(.*)'", f.read())
                return found.group(1) if found else None
        except OSError:
            return None

    def connect(self, role="super"):
        with open("%s/secrets/database-%s" % (self.data, role)) as f:
            secret = f.read().strip()
        conn = psycopg2.connect(host=self._socket_dir(), port=5432, user="flopinio_" + role,
                                password=secret, dbname="flopinio",
                                options="-csearch_path=flopinio")
        conn.autocommit = True
        return conn

    def sql(self, text, *args):
        """As the superuser of the private cluster; rows as dicts, or the number of rows."""
        for attempt in (0, 1):
            if not self._pools:
                self._pools.append(self.connect())
            try:
                with self._pools[0].cursor() as cur:
                    cur.execute(text, args)
                    if not cur.description:
                        return cur.rowcount
                    names = [d.name for d in cur.description]
                    return [dict(zip(names, map(_plain, row))) for row in cur.fetchall()]
            except psycopg2.Error as e:
                if e.pgcode and not isinstance(e, psycopg2.OperationalError):
                    raise
                self._pools.pop().close()  # the database was restarted
                if attempt:
                    raise
        return None

    def pg_ctl(self, *what):
        """pg_ctl on the private cluster, as its user."""
        tool = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))[-1]
        data = self.data + "/postgres"
        args = [tool, "-D", data, "-w", "-t", "20"] + list(what)
        owner = os.stat(data).st_uid

        def become():
            if os.geteuid() == 0 and owner != 0:
                os.setgid(os.stat(data).st_gid)
                os.setuid(owner)
        subprocess.run(args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       cwd="/", preexec_fn=become)

    # ---- REST
    def rest(self, method, path, body=None, auth=None, control=False, code=None, raw=False,
             timeout=30):
        """One request to /api/v1. auth: a token, a (name, passphrase) pair, or None. Raises
        RestError unless 2xx; raw=True: (status, body) instead."""
        if control:
            conn = UnixConnection(self.run_dir + "/control.sock", timeout)
        else:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if isinstance(auth, tuple):
            pair = base64.b64encode(("%s:%s" % auth).encode()).decode()
            headers["Authorization"] = "Basic " + pair
        elif auth:
            headers["Authorization"] = "Bearer " + auth
        if code:
            headers["Flopinio-Code"] = code
        try:
            conn.request(method, "/api/v1" + path, None if body is None else json.dumps(body),
                         headers)
            answer = conn.getresponse()
            data = answer.read()
        finally:
            conn.close()
        try:
            parsed = json.loads(data) if data else {}
        except ValueError:
            parsed = {"error": {"text": data.decode("utf-8", "replace")}}
        if raw:
            return answer.status, parsed
        if not 200 <= answer.status < 300:
            raise RestError(answer.status, parsed)
        return parsed

    def control(self, method, path, body=None, **more):
        """As the operator, over the control socket."""
        return self.rest(method, path, body, control=True, **more)


def _plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


_serial = itertools.count(1)


def unique(stem):
    return "%s-%d-%s" % (stem, next(_serial), uuid.uuid4().hex[:6])


def new_token(kind):
    """One that nobody knows yet. Its form: runtime/crypto/token.h."""
    def b64(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    body = "%s_%s" % (kind, b64(os.urandom(32)))
    return body + b64(hashlib.sha256(b"flopinio/token/1" + body.encode()).digest()[:5])[:6]


def token_for(rt, name, kind="flp", scopes=("read", "decide")):
    """A personal token written into the database: for many people at once, whose passphrases
    would cost a hash each."""
    token = new_token(kind)
    rt.sql("INSERT INTO personal_token (token_id, person_id, name, token_hash, scopes, expires_at) "
           "SELECT gen_random_uuid(), person_id, 't', %s, %s, now() + interval '8 hours' FROM "
           "person WHERE name = %s", hashlib.sha256(token.encode()).digest(), list(scopes), name)
    return token


class Person:
    """Somebody of an organization, with a personal token of the scope `decide`."""

    def __init__(self, org, name, token=None):
        self.org = org
        self.name = name
        self.passphrase = PASSPHRASE + name
        self.rt = org.rt
        self._token = token

    @property
    def token(self):
        if not self._token:
            self._token = self.make_token()
        return self._token

    def make_token(self, scopes=("read", "decide"), expires="8h"):
        made = self.rt.rest("POST", "/me/tokens", {"name": unique("t"), "scopes": list(scopes),
                                                   "expires": expires},
                            (self.name, self.passphrase))
        return made["token"]

    def rest(self, method, path, body=None, **more):
        return self.rt.rest(method, path, body, self.token, **more)

    def decide(self, approval, verdict, reason=None, **more):
        body = dict({"verdict": verdict}, **more)
        if verdict == "approve" and "binding" not in more:
            body["binding"] = self.org.binding(approval)
        if reason is not None:
            body["reason"] = reason
        return self.rest("POST", self.org.path("/approvals/%s/decision" % approval), body)

    def approve(self, approval, reason=None, **more):
        return self.decide(approval, "approve", reason, **more)

    def reject(self, approval, reason=None, **more):
        return self.decide(approval, "reject", reason, **more)

    def withdraw(self, approval):
        return self.decide(approval, "withdraw")

    def settle(self, approval, outcome, reason=None):
        return self.rest("POST", self.org.path("/approvals/%s/settle" % approval),
                         {"outcome": outcome, "reason": reason or "looked at it"})

    def cancel(self, approval, reason=None):
        return self.rest("POST", self.org.path("/approvals/%s/cancel" % approval),
                         {"reason": reason or "not needed"})


class Org:
    """An organization of its own: people olga (member; the agent's owner), ann and bob (approvers
    in the group ops), adam (admin); the agent `bot` with a credential; the server `files` on an
    empty folder, its tools accepted; POLICY in force. What is not wanted: files=False, policy=None;
    conformance=True adds the server `conf`; scenario=True the server `s` of tests/plugins/scenario.c
    on the same folder."""

    PEOPLE = (("olga", "member", []), ("ann", "approver", ["ops"]), ("bob", "approver", ["ops"]),
              ("adam", "admin", []))
    made = []   # of the running test; the runner checks their audit
    is_edited = False  # a test changed states by hand: there is nothing to check

    def __init__(self, rt, policy=POLICY, files=True, conformance=False, scenario=False,
                 own_people=False, hold=None, **settings):
        self.rt = rt
        self.name = unique("o")
        rt.control("POST", "/orgs", dict({"name": self.name, "title": "Org " + self.name},
                                         **settings))
        self.id = rt.sql("SELECT organization_id FROM organization WHERE name = %s",
                         self.name)[0]["organization_id"]
        for group in ("ops",):
            rt.control("POST", self.path("/groups"), {"name": group, "title": group,
                                                      "members": []})
        for stem, role, groups in self.PEOPLE:
            setattr(self, stem, self.add_person(stem, role, groups, own_people))
        self.agent = "bot"
        rt.control("POST", self.path("/agents"), {"name": self.agent, "title": "The bot",
                                                  "owner": self.olga.name, "labels": {}})
        self.credential_id, self.credential = self.add_credential(hold=hold)
        self.folder = tempfile.mkdtemp(prefix="files-", dir=rt.base)
        os.chmod(self.folder, 0o777)
        if files:
            self.add_server("files", "files", {"root": self.folder})
        if scenario:
            self.add_server("s", "scenario", {"root": self.folder})
        if conformance:
            self.add_server("conf", "conformance", {})
        if policy:
            self.apply(policy)
        Org.made.append(self)
        self.sync()

    def path(self, rest=""):
        return "/orgs/%s%s" % (self.name, rest)

    def control(self, method, path, body=None, **more):
        return self.rt.control(method, self.path(path), body, **more)

    # ---- setting up
    def add_person(self, stem, role, groups=(), own=True):
        """own: a new person; else the installation's one of that name becomes a member."""
        name = unique(stem) if own else stem
        is_new = name not in self.rt.people
        body = {"name": name, "role": role, "groups": list(groups)}
        if is_new:
            body.update(display_name=stem.capitalize(), email=name + "@example.com",
                        passphrase=PASSPHRASE + name)
        self.control("POST", "/people", body)
        person = Person(self, name, self.rt.people.get(name))
        if is_new:
            self.rt.people[name] = person.token
        return person

    def add_agent(self, name, owner=None):
        self.control("POST", "/agents", {"name": name, "title": name,
                                         "owner": (owner or self.olga).name, "labels": {}})
        return self.add_credential(agent=name)

    def add_credential(self, agent=None, **settings):
        """(id, credential)"""
        body = {"name": unique("c"), "client": "sdk", "expires": "720h"}
        body.update((k, v) for k, v in settings.items() if v is not None)
        made = self.control("POST", "/agents/%s/credentials" % (agent or self.agent), body)
        return made["id"], made["credential"]

    def revoke_credential(self, credential_id, agent=None):
        self.control("DELETE", "/agents/%s/credentials/%s" % (agent or self.agent, credential_id))

    def add_server(self, name, plugin, config, accept=True, note=""):
        made = self.control("POST", "/servers", {"name": name, "plugin": plugin, "config": config,
                                                 "environment": "test", "account": "nobody"})
        assert made.get("note", "") == note, made
        if accept:
            for tool in self.control("GET", "/tools")["items"]:
                if tool["server"] == name and tool["state"] != "accepted":
                    self.accept(tool["name"], tool=tool)
        return made

    def accept(self, name, effects=None, secrets=(), tool=None):
        tool = tool or self.control("GET", "/tools/" + name)
        self.control("POST", "/tools/%s/accept" % name, {
            "digest": tool["digest"], "secrets": list(secrets),
            "effects": effects or ("read" if tool["claims_read"] else "write")})

    def apply(self, document, **more):
        return self.control("POST", "/policy", dict({"document": document}, **more))

    def sync(self):
        """Waits until every worker has looked for changes since now (each works with a snapshot of
        the organization, at most a second old). With a long sweep_time: make the Org first."""
        now = self.rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        count = len(self.rt.workers())
        wait_for("the workers to look for changes", lambda: len(self.rt.sql(
            "SELECT 1 FROM worker WHERE seen_at > %s", now)) >= count)

    # ---- looking
    def approvals(self, state=None):
        return self.control("GET", "/approvals" + ("?state=" + state if state else ""))["items"]

    def approval(self, approval_id):
        return self.control("GET", "/approvals/%s" % approval_id)

    def row(self, approval_id):
        rows = self.rt.sql("SELECT * FROM approval WHERE organization_id = %s AND approval_id = %s",
                           self.id, approval_id)
        return rows[0] if rows else None

    def rows(self):
        return self.rt.sql("SELECT * FROM approval WHERE organization_id = %s ORDER BY created_at",
                           self.id)

    def binding(self, approval_id):
        """What its card says which call it shows."""
        row = self.row(approval_id)
        return row["binding_digest"].hex() if row else "00" * 32

    def state(self, approval_id):
        return self.row(approval_id)["state"]

    def wait_state(self, approval_id, *states, timeout=20):
        def look():
            row = self.row(approval_id)
            return row if row and row["state"] in states else None
        try:
            return wait_for("state", look, timeout)
        except AssertionError:
            raise AssertionError("approval %s is %s and not %s after %s s" % (
                approval_id, self.state(approval_id), " or ".join(states), timeout)) from None

    def wait_pending(self, count=1, timeout=20):
        """Waits until exactly so many approvals are pending; the id, or a list of them."""
        def look():
            rows = self.rt.sql("SELECT approval_id FROM approval WHERE organization_id = %s AND "
                               "state = 'pending' ORDER BY created_at, approval_id", self.id)
            return rows if len(rows) == count else None
        ids = [r["approval_id"] for r in wait_for("%d pending" % count, look, timeout)]
        return ids[0] if count == 1 else ids

    def audit(self, subject=None, kind=None):
        """Leaves, oldest first; subject an id, kind a kind or a prefix that ends with a dot."""
        rows = self.rt.sql(
            "SELECT leaf FROM audit_event WHERE organization_id = %s AND (%s::text IS NULL OR "
            "subject_id::text = %s) AND (%s::text IS NULL OR kind = %s OR kind LIKE %s) "
            "ORDER BY recorded_at, event_id", self.id, subject, subject, kind, kind,
            (kind or "") + "%" if (kind or "").endswith(".") else kind)
        return [json.loads(r["leaf"]) for r in rows]

    def kinds(self, approval_id):
        return [leaf["kind"] for leaf in self.audit(approval_id)]

    # ---- the folder
    def read(self, name):
        with open(os.path.join(self.folder, name)) as f:
            return f.read()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        if os.geteuid() == 0:  # plugins run as nobody then, and must own what they replace
            shutil.chown(path, "nobody", "nogroup")

    def files(self):
        return sorted(os.listdir(self.folder))

    def effects(self):
        """What the scenario plugin did, a line for each effect."""
        return self.read("effects.txt").splitlines() if "effects.txt" in self.files() else []

    def open_gate(self, name):
        self.write(name, "")


# ---- the audit must tell how each approval came to its state -----------------------------------
MOVES = {
    "approval.approved": ("pending", "approved"), "approval.rejected": ("pending", "rejected"),
    "approval.claimed": ("approved", "claimed"), "approval.released": ("claimed", "approved"),
    "approval.dispatched": ("claimed", "dispatched"),
    # An outcome that comes late, by its own fence, is recorded, too.
    "approval.succeeded": ("sent", "succeeded"), "approval.failed": ("sent", "failed"),
    "approval.unknown": ("dispatched", "unknown"),
}
MANY = {"approval.expired": "expired", "approval.cancelled": "cancelled",
        "approval.voided": "voided"}
FROM = {"*": ("pending", "approved", "claimed"), "sent": ("dispatched", "unknown")}


def audit_problem(row, leaves):
    """None, or why these leaves do not lead from intake to the row's state."""
    state = None
    left = []
    for leaf in leaves:
        kind, data = leaf["kind"], leaf.get("data", {})
        if kind == "approval.requested":
            left.append((None, "pending"))
        elif kind == "approval.permitted":
            left.append((None, "approved"))
        elif kind == "approval.settled":
            left.append(("unknown", data.get("outcome")))
        elif kind in MOVES:
            left.append(MOVES[kind])
        elif kind in MANY:
            left.append(("*", MANY[kind]))

    def walk(at, moves):
        if not moves:
            return at == row["state"]
        return any(walk(to, moves[:i] + moves[i + 1:]) for i, (from_, to) in enumerate(moves)
                   if at in FROM.get(from_, (from_,)))
    if walk(state, left):
        return None
    return "approval %s is %s, its audit says %s" % (
        row["approval_id"], row["state"], [leaf["kind"] for leaf in leaves])


def check_audit(org):
    """Every state change has its audit row, and no audit row is without its state change."""
    if org.is_edited:
        return
    # One statement, one snapshot: the sweep goes on meanwhile.
    for row in org.rt.sql(
            "SELECT a.approval_id, a.state, array_remove(array_agg(e.leaf ORDER BY e.recorded_at, "
            "e.event_id), NULL) AS leaves FROM approval a LEFT JOIN audit_event e ON "
            "e.organization_id = a.organization_id AND e.subject_id = a.approval_id AND e.kind "
            "LIKE 'approval.%%' WHERE a.organization_id = %s GROUP BY 1, 2", org.id):
        problem = audit_problem(row, [json.loads(bytes(leaf)) for leaf in row["leaves"]])
        assert problem is None, problem


@contextlib.contextmanager
def refused(status=None, text=None):
    """The block must be refused by REST, with that status and (part of) that text."""
    try:
        yield
    except RestError as e:
        assert status is None or e.status == status, "%s instead of %s" % (e, status)
        assert text is None or text in e.text, "%r is not in %r" % (text, e.text)
    else:
        raise AssertionError("it was not refused")
