"""What docs/runbooks.md is about, brought about for real, and looked at afterwards; used by run.py.

HOOKS: (text in a block, before it, behind it); each must have been used. A function gets the page's
shell; `book` holds what one of them leaves for the next."""
import glob
import os
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))
from fake_slack import SECRET, TOKEN, FakeSlack, Hooks  # noqa: E402
from harness import BUILD, is_alive, wait_for  # noqa: E402
from mcp_client import McpError, McpWs, text_of  # noqa: E402

DATA = "/var/lib/flopinio"
POLICY = """version: 1
rules:
  - {name: reads, tools: ["*"], effect: allow}
  - {name: payments, tools: ["pay__*"], effect: ask, ask: {thresholds: [{approve: 1}]}}
  - {name: writes, tools: ["*"], effect: ask, ask: {notify: [ops-slack], thresholds: [{approve: %d}]}}
"""
# What the page needs of systemd: the unit, and its journal.
SYSTEMCTL = """#!/bin/bash
pid=$(cat BASE/unit.pid 2>/dev/null)
runs() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
stop() { runs && kill -TERM "$pid"; while runs; do sleep 0.05; done; }
start() { runs || { setsid flopinio serve </dev/null >>BASE/journal 2>&1 & echo $! >BASE/unit.pid; }; }
case $* in
"start flopinio") start ;;
"stop flopinio") stop ;;
"restart flopinio") stop; pid=; start ;;
"kill --kill-whom=main --signal=SIGUSR2 flopinio") runs && kill -USR2 "$pid" ;;
*) echo "systemctl: $*?" >&2; exit 2 ;;
esac
"""
JOURNALCTL = """#!/bin/bash
[ "$*" = "-u flopinio -n 20" ] && exec tail -n 20 BASE/journal
echo "journalctl: $*?" >&2
exit 2
"""
book = {}


class Here:
    port = 7337


def script(sh, name, text):
    path = "%s/bin/%s" % (sh.base, name)
    with open(path, "w") as f:
        f.write(text.replace("BASE", sh.base))
    os.chmod(path, 0o755)


def as_ben(sh, id, name="ben"):
    sh.run("flopinio approvals approve %s --as %s\n" % (id, name))


def approval(sh, id):
    return sh.flopinio("approvals", "show", id, "--json")


def state(sh, id):
    return approval(sh, id)["state"]


def waiting(sh):
    return {a["id"] for a in sh.flopinio("approvals", "list", "--json")["items"]}


def channel(sh):
    (one,) = sh.flopinio("channel", "list", "--json")["items"]
    return one


def ask(sh, tool, arguments):
    """A call that is held: (the call, the approval's id)."""
    known = waiting(sh)
    call = sh.call(tool, arguments)
    return call, wait_for("an approval", lambda: waiting(sh) - known, 15, 0.1).pop()


def write(sh, name):
    return ask(sh, "files__write", {"path": name, "content": "as approved\n"})


def is_refused(sh, having="", credential=None):
    """The agent gets nothing done any more, and is told why."""
    try:
        with McpWs(Here, credential or sh.credential()) as client:
            said = client.call("files__list", {}, timeout=10)
            assert said.get("isError"), "it works: %s" % said
    except (McpError, OSError, EOFError) as e:
        said = e
    assert having in str(said), said


def is_done(call):
    said = call.wait(20)
    assert not said.get("isError"), said


def put_policy(sh, votes):
    with open(sh.cwd + "/simple.yaml", "w") as f:
        f.write(POLICY % votes)
    sh.run("flopinio policy apply simple.yaml --as ana\n")


def has(sh, *words):
    """Was it printed since this was asked last?"""
    new = sh.text[book.get("seen", 0):]
    book["seen"] = len(sh.text)
    for word in words:
        assert word in new, "%r is not in:\n%s" % (word, new)


# ---------------------------------------------------------------- before everything
def begin(sh):
    script(sh, "systemctl", SYSTEMCTL)
    script(sh, "journalctl", JOURNALCTL)
    os.makedirs("/etc/flopinio", exist_ok=True)
    with open("/etc/flopinio/flopinio.yaml", "w") as f:
        f.write("chat_may_be_local: true\nworkers: 2\nexecute_time: 2s\ndispatch_time: 2s\n"
                "unknown_grace: 300ms\nlease_time: 1s\noperator_authority: always\n")
    fake = book["slack"] = FakeSlack()
    fake.channel("C0OPS")
    os.makedirs("/srv/keys", mode=0o700)
    os.makedirs("/srv/backup")
    for name, text in (("token", TOKEN), ("signing", SECRET)):
        with open("/srv/keys/slack-" + name, "w") as f:
            f.write(text + "\n")
    # The test plugin `scenario` stands for an upstream that can break.
    sh.run("""install -d -m 777 /srv/shop /srv/pay
cp %s/test-plugins/scenario.so "$(dirname "$(find /usr/local/lib -name files.so -path '*flopinio*')")"
flopinio init --org shop --admin ana
systemctl start flopinio
curl -s --retry 20 --retry-delay 1 --retry-all-errors --fail http://127.0.0.1:7338/ready
flopinio group create ops
for name in ben dan eve; do
    flopinio user create $name --role approver --group ops --ask-passphrase
done
flopinio server add files --plugin files --config '{"root": "/srv/shop"}'
flopinio server add pay --plugin scenario --config '{"root": "/srv/pay"}'
flopinio tool accept --all-new --read
flopinio tool accept --all-new --write
flopinio channel add ops-slack --kind slack --secret token=/srv/keys/slack-token \\
    --secret signing_secret=/srv/keys/slack-signing \\
    --config '{"channels": ["C0OPS"], "base_url": "%s"}'
flopinio agent create clerk --owner ana --client claude-code
flopinio agent create parrot --owner dan --no-credential
flopinio user link ben --channel ops-slack
""" % (BUILD, fake.url))
    sh.run("""sed -i /operator_authority/d /etc/flopinio/flopinio.yaml
systemctl restart flopinio
curl -s --retry 20 --retry-delay 1 --retry-all-errors --fail http://127.0.0.1:7338/ready
""")
    book["first credential"] = sh.credential()
    fake.deliver = Hooks(Here, "/hooks/slack/shop/ops-slack")
    ben = book["ben"] = fake.user("U0BEN", "ben")
    wait_for("the channel's workspace", lambda: channel(sh)["facts"].get("team"), 20, 0.1)
    code = sh.text.split("/flopinio link ")[1].split()[0]
    assert "here now" in fake.command(ben, "link " + code)
    book["old call"], book["old"] = write(sh, "old.txt")


def end(sh):
    book["slack"].__exit__(None, None, None)


# ---------------------------------------------------------------- an agent runs amok
def amok(sh):
    stop = book["stop"] = threading.Event()

    def loop():
        try:
            with McpWs(Here, book["first credential"]) as client:
                for i in range(100000):
                    client.call_start("files__write", {"path": "loop-%d" % i, "content": "x"})
                    if stop.wait(0.02):
                        return
        except (McpError, OSError, EOFError) as e:
            book["loop ended"] = e
    book["loop"] = threading.Thread(target=loop, daemon=True)
    book["loop"].start()
    wait_for("many calls", lambda: len(waiting(sh)) >= 15, 20, 0.2)


def amok_stopped(sh):
    has(sh, "files__write")
    is_refused(sh, "it asks for hundreds of writes")
    count = len(waiting(sh))
    time.sleep(0.5)
    assert len(waiting(sh)) == count >= 15, "it goes on"
    book["stop"].set()


def amok_cleared(sh):
    assert not sh.flopinio("approvals", "list", "--agent", "clerk", "--json")["items"]
    is_refused(sh)
    assert glob.glob("/srv/shop/loop-*") == [] and state(sh, book["old"]) == "rejected"


def amok_over(sh):
    assert sh.credential() != book["first credential"]
    is_done(sh.call("files__list", {}))
    is_refused(sh, credential=book["first credential"])


# ---------------------------------------------------------------- Slack is down
def slack_falls(sh):
    put_policy(sh, 1)
    book["slack"].is_down = True
    call, id = write(sh, "meanwhile.txt")
    book["meanwhile"] = call
    sh.id = lambda: id
    wait_for("the trouble", lambda: channel(sh)["trouble"], 20, 0.1)
    assert channel(sh)["waiting"] == 1


def slack_is_seen(sh):
    has(sh, "503", "flopinio_approvals_unreached")


def slack_decided(sh):
    is_done(book["meanwhile"])
    with open("/srv/shop/meanwhile.txt") as f:
        assert f.read() == "as approved\n"


def slack_back(sh):
    fake = book["slack"]
    fake.is_down = False

    def press():
        card = fake.wait_message("C0OPS", "test", timeout=60)
        book["pressed"] = fake.click(book["ben"], card, fake.buttons(card)[0])
    threading.Thread(target=press, daemon=True).start()


def slack_over(sh):
    assert "works" in book["pressed"], book["pressed"]
    wait_for("nothing to be told", lambda: not channel(sh)["waiting"], 20, 0.1)
    assert not channel(sh)["trouble"], channel(sh)
    call, id = write(sh, "afterwards.txt")
    card = book["slack"].wait_message("C0OPS", "afterwards.txt")
    assert "Approve" in book["slack"].buttons(card)
    assert book["slack"].click(book["ben"], card, "Approve").startswith("approved")
    is_done(call)


# ---------------------------------------------------------------- an approver has left
def dan_votes(sh):
    put_policy(sh, 3)
    book["three"], book["three id"] = write(sh, "three.txt")
    as_ben(sh, book["three id"], "dan")
    sh.run("flopinio user token create laptop --scope read --expires 1h --as dan >dan-token\n")


def dan_is_out(sh):
    has(sh, "rule")
    sh.run("! flopinio approvals approve %s --as dan\n! FLOPINIO_TOKEN=$(grep -o 'flp_.*' dan-token) "
           "flopinio whoami\n" % book["three id"])
    agents = {a["name"]: a for a in sh.flopinio("agent", "list", "--json")["items"]}
    assert agents["parrot"]["owner"] == "ana", agents["parrot"]
    assert state(sh, book["three id"]) == "pending"
    sh.id = lambda: book["three id"]


def dan_is_replaced(sh):
    """His vote does not count: with it these would be three."""
    as_ben(sh, book["three id"], "ben")
    assert state(sh, book["three id"]) == "pending"
    as_ben(sh, book["three id"], "eve")
    is_done(book["three"])
    put_policy(sh, 1)


# ---------------------------------------------------------------- a bad upstream
def upstream_breaks(sh):
    call, id = ask(sh, "pay__crash", {"line": "one"})
    as_ben(sh, id)
    wait_for("an unknown outcome", lambda: state(sh, id) == "unknown", 30, 0.2)
    book["payment"], book["unknown at"] = id, time.monotonic()
    sh.id = lambda: id


def upstream_stopped(sh):
    said = sh.call("pay__look", {"line": "x"}).wait(20)
    assert said["isError"] and "its upstream is broken" in text_of(said), said
    is_done(sh.call("files__list", {}))


def upstream_rests(sh):
    """Until the call cannot be running any more: dispatch, execution and grace together."""
    time.sleep(max(0, 6 - (time.monotonic() - book["unknown at"])))


def upstream_settled(sh):
    assert state(sh, book["payment"]) == "succeeded"
    with open("/srv/pay/effects.txt") as f:
        assert f.read() == "crash\n"


def upstream_over(sh):
    call, id = ask(sh, "pay__append_line", {"line": "two"})
    as_ben(sh, id)
    is_done(call)
    with open("/srv/pay/effects.txt") as f:
        assert f.read() == "crash\ntwo\n"


# ---------------------------------------------------------------- restore
def unit(sh):
    with open(sh.base + "/unit.pid") as f:
        return int(f.read())


def disk_breaks(sh):
    book["lost call"], book["lost"] = write(sh, "lost.txt")
    with open(DATA + "/postgres/postmaster.pid") as f:
        database = int(f.readline())
    for pid in (unit(sh), database):
        os.kill(pid, signal.SIGKILL)
        wait_for("its end", lambda p=pid: not is_alive(p), 10)
    for path in glob.glob(DATA + "/postgres/global/*"):
        if os.path.isfile(path):
            os.unlink(path)
    sh.run("! flopinio approvals list\n")


def restored(sh):
    has(sh, "nobody answers", "frozen")


def recovered(sh):
    assert state(sh, book["old"]) == "cancelled", "what waited in the backup may have run since"
    assert book["lost"] not in waiting(sh)
    is_refused(sh, credential=book["first credential"])


def all_back(sh):
    has(sh, "ended what was open")
    call, id = write(sh, "again.txt")
    as_ben(sh, id)
    is_done(call)
    assert os.path.exists("/srv/backup/after-the-restore/database.dump")


# ---------------------------------------------------------------- a lost key
def key_is_lost(sh):
    _, id = write(sh, "sealed.txt")
    sh.id = lambda: id
    sh.run("systemctl stop flopinio\nmv %s/secrets/keys /srv/lost-keys\nsystemctl start flopinio\n"
           % DATA)
    wait_for("the refusal", lambda: not is_alive(unit(sh)), 30, 0.1)
    has(sh)


def key_is_missed(sh):
    has(sh, "key")
    assert not os.path.exists(DATA + "/secrets/keys"), "it made new ones"


def key_is_back(sh):
    has(sh, "sealed.txt")


def keys_are_two(sh):
    with open("/srv/keys/flopinio") as f:
        assert "primary 2 active" in f.read()
    call, id = write(sh, "second-key.txt")
    as_ben(sh, id)
    is_done(call)
    sh.run("flopinio approvals show %s\n" % sh.id())     # of the first key


# ---------------------------------------------------------------- upgrade
def workers(sh):
    with open("/proc/%d/task/%d/children" % (unit(sh), unit(sh))) as f:
        pids = [int(p) for p in f.read().split()]
    found = set()
    for pid in pids:
        try:
            with open("/proc/%d/cmdline" % pid) as f:
                if "\0worker\0" in f.read():
                    found.add(pid)
        except OSError:
            pass
    return found


def before_upgrade(sh):
    _, book["open"] = write(sh, "open.txt")
    sh.id = lambda: book["open"]


def workers_before(sh):
    book["workers"] = workers(sh)
    assert len(book["workers"]) == 2


def workers_replaced(sh):
    wait_for("other workers", lambda: len(workers(sh) - book["workers"]) == 2 and
             not workers(sh) & book["workers"], 30, 0.1)
    assert book["open"] in waiting(sh)


def upgraded(sh):
    """The agent asks again for what it had asked before, and gets that."""
    done = sh.call("files__write", {"path": "open.txt", "content": "as approved\n"}).wait(30)
    assert not done.get("isError"), done
    assert state(sh, book["open"]) == "succeeded"


HOOKS = [
    ("approvals list --agent clerk\nflopinio incident", amok, None),
    ("stop agent clerk", None, amok_stopped),
    ("approvals reject --agent clerk", None, amok_cleared),
    ("resume agent clerk", None, amok_over),
    ("grep flopinio_approvals_unreached", slack_falls, slack_is_seen),
    ("approvals approve ID --as ben", None, slack_decided),
    ("channel test ops-slack", slack_back, None),
    ("channel set ops-slack --secret", None, slack_over),
    ("user offboard dan", dan_votes, dan_is_out),
    ("policy check --as ana || true", None, lambda sh: has(sh, "writes:", "0 of 3")),
    ("approvals approve ID --as cleo", None, dan_is_replaced),
    ("tool list --state changed", upstream_breaks, None),
    ("stop server pay", None, upstream_stopped),
    ("approvals settle ID", upstream_rests, upstream_settled),
    ("resume server pay", None, upstream_over),
    ("nobody answers", disk_breaks, None),
    ("recover --dry-run", None, restored),
    ("flopinio recover\nsystemctl start", None, recovered),
    ("--kind runtime.restored", None, all_back),
    ("journalctl -u flopinio -n 20\nflopinio doctor", key_is_lost, key_is_missed),
    ("approvals show ID", None, key_is_back),
    ("primary 2 active", None, keys_are_two),
    ("before-the-upgrade", before_upgrade, None),
    ("--signal=SIGUSR2", workers_before, workers_replaced),
    ("approvals list\nflopinio approvals approve ID --as ben", None, upgraded),
]
