"""Each hostile request against the real program: whole and byte by byte, alone and with another
request behind it; and the same bytes against Node's parser."""
import base64
import json
import subprocess
import os

from peer import Peer

HERE = os.path.dirname(os.path.abspath(__file__))
BYTEWISE = 600  # pieces at most: longer ones come in larger pieces


def name_of(answer):
    """An answer as the table writes it: the id of a message, or the status."""
    if answer.status == 200:
        return json.loads(answer.body)["id"]
    return str(answer.status)


def read_until(peer, count):
    found = []
    while len(found) < count:
        answer = peer.answer()
        if answer is None:
            break
        found.append(answer)
    return found


def check_end(peer, what):
    answer = peer.answer()
    assert answer is None, "%s it answered %r" % (what, answer)
    assert not peer.is_reset, "%s the connection was reset" % what


def check_kept(peer, vector, marker, is_behind):
    wanted = vector.answers + ["marker"]
    if not is_behind:
        names = [name_of(x) for x in read_until(peer, len(vector.answers))]
        assert names == vector.answers, "answers %s, not %s" % (names, vector.answers)
        peer.send(marker)
        wanted = ["marker"]
    names = [name_of(x) for x in read_until(peer, len(wanted))]
    assert names == wanted, "answers %s, not %s" % (names, wanted)
    peer.finish()
    check_end(peer, "behind the last request")


def check_closed(peer, vector):
    found = read_until(peer, len(vector.answers))
    names = [name_of(x) for x in found]
    assert names == vector.answers, "answers %s, not %s" % (names, vector.answers)
    assert found[-1].head.get("connection") == "close", found[-1].head
    check_end(peer, "behind a connection that had to end")


def check_waiting(peer, is_behind):
    if not is_behind:
        assert peer.is_silent(0.2), "it answered half a request: %r" % peer.buf
    peer.finish()
    answer = peer.answer()  # the marker became a part of it, and made it a bad one
    if answer is not None:
        assert is_behind and answer.status in (400, 501), answer
        check_end(peer, "behind a bad request")


def check(port, vector, marker):
    for pieces in (1, BYTEWISE):
        for is_behind in (False, True):
            with Peer(port) as peer:
                try:
                    size = max(1, -(-len(vector.raw) // pieces))
                    last = (len(vector.raw) - 1) // size * size if pieces > 1 else 0
                    peer.send(vector.raw[:last], pieces)
                    peer.send(vector.raw[last:] + (marker if is_behind else b""))
                    if vector.is_waiting:
                        check_waiting(peer, is_behind)
                    elif vector.is_kept:
                        check_kept(peer, vector, marker, is_behind)
                    else:
                        check_closed(peer, vector)
                except (AssertionError, EOFError, OSError, ValueError, KeyError) as e:
                    raise AssertionError("%s%s: %s: %s" % (
                        "whole" if pieces == 1 else "byte by byte",
                        ", with a request behind it" if is_behind else "", type(e).__name__, e))


# ---------------------------------------------------------------- Node
def ask_node(table, marker):
    todo = [[v.name, base64.b64encode(v.raw + (marker if v.is_kept else b"")).decode()] for v in table]
    done = subprocess.run(["node", HERE + "/node.mjs"], input=json.dumps(todo).encode(),
                          stdout=subprocess.PIPE, timeout=120, check=True)
    return json.loads(done.stdout)


def compare(vector, answers):
    """Raises where Node refuses and we do not, or the messages are others; returns a line to print
    where it is the other way round."""
    first = answers[0] if answers else "closed without an answer"
    is_refused = not isinstance(first, dict)
    if vector.is_waiting:
        return None
    if vector.is_refused:
        if is_refused:
            return None
        assert vector.node, "Node takes it for %r, and no reason is given why we refuse it" % first
        return "differs: %s: we answer %s. %s" % (vector.name, vector.answers[0], vector.node)
    if is_refused:
        assert vector.node, "Node refuses it with %s, and we do not" % first
        return "differs: %s: Node answers %s. %s" % (vector.name, first, vector.node)
    if vector.is_kept:
        seen = [x["body"] if isinstance(x, dict) else x for x in answers]
        if len(seen) != len(vector.answers) + 1 or '"id":"marker"' not in str(seen[-1]):
            assert vector.node, "Node sees other messages in it: %s" % seen
            return "differs: %s: Node answers %d, we %d. %s" % (
                vector.name, len(seen), len(vector.answers) + 1, vector.node)
        for name, body in zip(vector.answers, seen):
            assert name.isdigit() or '"id":"%s"' % name in body, (name, body)
    return None
