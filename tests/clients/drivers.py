"""The official clients as processes, behind one interface:

    client = open_client(variant, runtime, credential)
    client.version                       the protocol version that was agreed, where it is told
    client.do("list")                    -> what the SDK gave back; ClientError: what it threw
    call = client.start("call", name=.., arguments=..)
    call.wait(seconds), call.cancel(), call.progress
    client.close(), client.kill()        a goodbye; a SIGKILL

SDKs are driven line by line (client.mjs, client.py); the Inspector is one process per request.
"""
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLIENTS = os.environ.get("FLOPINIO_CLIENTS", ROOT + "/build/clients")
NODE = CLIENTS + "/node_modules/node/bin/node"
INSPECTOR = CLIENTS + "/node_modules/@modelcontextprotocol/inspector/clients"


class ClientError(Exception):
    """What the client library threw."""

    def __init__(self, error):
        super().__init__("%s %s: %s" % (error.get("name"), error.get("code"),
                                        error.get("message")))
        self.name, self.code = error.get("name"), error.get("code")
        self.message = error.get("message") or ""


class Variant:
    def __init__(self, client, transport, era, version, tasks=False):
        self.client, self.transport, self.era, self.version = client, transport, era, version
        self.tasks = tasks          # the client declares the tasks extension and follows tasks
        self.is_modern = version == "2026-07-28"
        self.name = "%s-%s-%s" % (client, transport, era)


LEGACY, MODERN = "2025-11-25", "2026-07-28"
VARIANTS = [
    Variant("sdk1", "ws", "legacy", LEGACY),
    Variant("sdk1", "http", "legacy", LEGACY),
    Variant("sdk1", "stdio", "legacy", LEGACY),
    Variant("sdk2", "http", "legacy", LEGACY),
    Variant("sdk2", "http", "auto", MODERN),
    Variant("sdk2", "stdio", "legacy", LEGACY),
    Variant("sdk2", "stdio", "auto", MODERN),
    Variant("python", "http", "legacy", LEGACY),
    Variant("python", "http", "auto", MODERN),
    Variant("python", "stdio", "legacy", LEGACY),
    Variant("python", "stdio", "auto", MODERN),
    Variant("inspector", "http", "legacy", LEGACY),
    Variant("inspector", "http", "modern", MODERN, tasks=True),
    Variant("inspector", "stdio", "legacy", LEGACY),
    Variant("inspector", "stdio", "modern", MODERN, tasks=True),
    Variant("mcpdo", "http", "modern", MODERN, tasks=True),
]


def stdio_command(rt):
    return [rt.command()[0], "stdio", "--data-dir=" + rt.data]


def environment(credential):
    return dict(os.environ, FLOPINIO_CREDENTIAL=credential, FLOPINIO_CLIENTS=CLIENTS,
                NODE_NO_WARNINGS="1")


class Call:
    """A request on its way."""

    def __init__(self):
        self.progress = []
        self._answer = None
        self._done = threading.Event()

    def finish(self, answer):
        if self._answer is None:
            self._answer = answer
            self.ended = time.monotonic()
            self._done.set()

    def is_done(self):
        return self._done.is_set()

    def wait(self, seconds=30):
        if not self._done.wait(seconds):
            raise AssertionError("the client had no answer within %s s" % seconds)
        if "error" in self._answer:
            raise ClientError(self._answer["error"])
        return self._answer["ok"]


class LineClient:
    def __init__(self, variant, rt, credential):
        self.calls, self.said = {}, []
        self._next = 0
        path = "/mcp/ws" if variant.transport == "ws" else "/mcp"
        scheme = "ws" if variant.transport == "ws" else "http"
        options = ["--transport=" + variant.transport, "--era=" + variant.era,
                   "--url=%s://127.0.0.1:%d%s" % (scheme, rt.port, path)]
        if variant.client == "python":
            argv = [CLIENTS + "/venv/bin/python", HERE + "/client.py"]
        else:
            argv = [NODE, HERE + "/client.mjs", "--sdk=" + variant.client[-1]]
        if variant.transport == "stdio":
            options += ["--"] + stdio_command(rt)
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(argv + options, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=environment(credential), start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()
        self.server = self.do("connect", 60)
        self.version = self.server["version"]

    def _read(self):
        for line in self.process.stdout:
            m = json.loads(line)
            call = self.calls.get(m.get("n"))
            if call is None:
                self.said.append(m)
            elif "progress" in m:
                call.progress.append(m["progress"])
            else:
                call.finish(m)
        for call in self.calls.values():
            call.finish({"error": {"name": "Ended", "code": None,
                                   "message": "the client's process ended: " + self.words()}})

    def words(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-3000:]

    def _write(self, message):
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            pass  # it has ended: _read tells each call

    def start(self, op, **members):
        self._next += 1
        n = self._next
        call = self.calls[n] = Call()
        call.cancel = lambda: self._write({"op": "cancel", "n": n})
        self._write(dict(members, op=op, n=n))
        return call

    def do(self, op, seconds=30, **members):
        return self.start(op, **members).wait(seconds)

    def close(self):
        try:
            self.do("close", 20)
        finally:
            self.kill()

    def kill(self):
        kill_group(self.process)
        self.process.stdin.close()


def kill_group(process, sig=signal.SIGKILL):
    """A session of its own was made for it: its stdio server goes with it."""
    try:
        os.killpg(process.pid, sig)
    except OSError:
        pass
    if sig == signal.SIGKILL:
        process.wait(10)


class Inspector:
    """The MCP Inspector's command line: one process per request."""

    METHODS = {"list": "tools/list", "call": "tools/call"}

    def __init__(self, variant, rt, credential):
        self.variant, self.rt, self.credential = variant, rt, credential
        self.home = tempfile.mkdtemp(prefix="inspector-", dir=rt.base)
        self.running = []
        self.version = None

    def _config(self, timeout_ms):
        """A server as a person writes it down; the command line has no option for the timeout."""
        if self.variant.transport == "stdio":
            command = stdio_command(self.rt)
            server = {"type": "stdio", "command": command[0], "args": command[1:],
                      "env": {"FLOPINIO_CREDENTIAL": self.credential}}
        else:
            server = {"type": "streamable-http", "url": "http://127.0.0.1:%d/mcp" % self.rt.port,
                      "headers": {"Authorization": "Bearer " + self.credential}}
        server.update(protocolEra=self.variant.era, requestTimeout=timeout_ms)
        path = os.path.join(self.home, "%d.json" % timeout_ms)
        with open(path, "w") as f:
            json.dump({"mcpServers": {"flopinio": server}}, f)
        return path

    def _argv(self, op, members):
        argv = [NODE, INSPECTOR + "/launcher/build/index.js", "--cli", "--config",
                self._config(members.get("timeout_ms", 60000)), "--server", "flopinio",
                "--format", "json", "--quiet", "--stored-auth-only", "--method", self.METHODS[op]]
        if op == "call":
            argv += ["--tool-name", members["name"],
                     "--tool-args-json", json.dumps(members["arguments"])]
        return argv

    def _environment(self):
        return dict(environment(self.credential), HOME=self.home,
                    MCP_INSPECTOR_SECRET_STORE="memory")

    def start(self, op, **members):
        call = Call()
        process = subprocess.Popen(
            self._argv(op, members), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True, env=self._environment())
        self.running.append(process)
        call.cancel = lambda: kill_group(process, signal.SIGINT)
        threading.Thread(target=self._read, args=(process, call), daemon=True).start()
        return call

    @staticmethod
    def _read(process, call):
        out, err = process.communicate()
        try:
            result = json.loads(out)
            call.finish({"ok": result.get("result", result)})
        except (ValueError, AttributeError):
            try:
                error = json.loads(err)["error"]
            except (ValueError, KeyError, TypeError):
                error = {"message": (err or out)[-2000:]}
            call.finish({"error": {"name": "Inspector", "code": error.get("code"),
                                   "message": "ended with %s: %s" % (process.returncode,
                                                                     error.get("message"))}})

    def do(self, op, seconds=60, **members):
        return self.start(op, **members).wait(seconds)

    def kill(self):
        for process in self.running:
            kill_group(process)

    close = kill


class Mcpdo(Inspector):
    """The Inspector's other command line: named connections that a daemon of its own keeps, so that
    one command calls a tool and another one looks at the task."""

    METHODS = {"list": ["tools/list"], "get": ["tasks/get"], "result": ["tasks/result"],
               "cancel": ["tasks/cancel"], "connect": ["connect"], "daemon": ["daemon"]}

    def __init__(self, variant, rt, credential):
        super().__init__(variant, rt, credential)
        self.daemon = {}
        for line in self._run("private").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            if name.startswith("MCP_INSPECTOR_"):
                self.daemon[name] = value.strip("'\"")
        assert self.daemon, "mcpdo private said nothing"
        self.connect("first")

    def _environment(self):
        return dict(environment(self.credential), HOME=self.home,
                    MCP_INSPECTOR_SECRET_STORE="memory", **self.daemon)

    def _run(self, *words):
        done = subprocess.run([NODE, INSPECTOR + "/mcpdo/build/mcp-bin.js"] + list(words),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60,
                              env=self._environment())
        if done.returncode:
            raise ClientError({"name": "mcpdo", "code": done.returncode, "message": done.stderr})
        return done.stdout

    def connect(self, name):
        self._run("connect", "http://127.0.0.1:%d/mcp" % self.rt.port, "--transport", "http",
                  "--era", self.variant.era, "--header", "Authorization: Bearer " + self.credential,
                  "--connection", name)
        self.connection = name

    def _argv(self, op, members):
        argv = [NODE, INSPECTOR + "/mcpdo/build/mcp-bin.js", "--connection", self.connection,
                "--format", "json"]
        if op == "call":
            return argv + ["tools/call", members["name"], json.dumps(members["arguments"])]
        return argv + self.METHODS[op] + ([members["task"]] if "task" in members else [])

    def close(self):
        self.kill()
        self._run("daemon", "stop")


def open_client(variant, rt, credential):
    of = {"inspector": Inspector, "mcpdo": Mcpdo}.get(variant.client, LineClient)
    return of(variant, rt, credential)
