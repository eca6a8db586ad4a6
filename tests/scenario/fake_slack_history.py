"""What stands in a conversation of the fake Slack, and who wrote it: times, metadata, and reading it
back. A part of fake_slack.py; pages are those of an app that is sold outside Slack's directory."""
import json
import re
import time

from fake_slack_app import Refuse

MOST = 15  # messages of a page


def micros(ts):
    return int(round(float(ts) * 1e6))


class History:
    """Of FakeSlack."""

    def next_ts(self):
        self.newest = max(int(time.time() * 1e6), self.newest + 1)
        return "%d.%06d" % divmod(self.newest, 1000000)

    def check_metadata(self, method, args):
        """{} takes it away; values are flat, and everybody in the workspace can read them."""
        m = args.get("metadata")
        if m is None or (m == {} and method == "chat.update"):
            return
        if not isinstance(m, dict) or set(m) != {"event_type", "event_payload"} or \
                not re.fullmatch(r"[a-z0-9_]{1,255}", m["event_type"]) or \
                not isinstance(m["event_payload"], dict) or len(json.dumps(m)) > 2000 or \
                not all(isinstance(v, str) for v in m["event_payload"].values()):
            self.bad("metadata", method, args)

    def say(self, channel, text, metadata=None, **by):
        """Somebody else's message: of a person ({"user": ..}) or another app."""
        with self.lock:
            ts = self.next_ts()
            self.messages[(channel, ts)] = {
                "channel": channel, "ts": ts, "text": text, "blocks": [], "thread_ts": None,
                "edits": 0, "metadata": metadata, "broadcast": False, "by": by}
        return ts

    def do_conversations_history(self, args):
        channel, limit = args["channel"], int(args.get("limit", MOST))
        if channel not in self.members and not channel.startswith("D"):
            raise Refuse("channel_not_found")
        for name in ("oldest", "latest"):
            if name in args and not re.fullmatch(r"\d{10}(\.\d{6})?", args[name]):
                self.bad("a time that is none", "conversations.history", args)
        if not 1 <= limit <= MOST or args.get("include_all_metadata") not in (
                None, "true", "false"):
            self.bad("a limit of %d, at most %d" % (limit, MOST), "conversations.history", args)
        with self.lock:
            found = [m for (c, ts), m in self.messages.items() if c == channel and
                     (not m["thread_ts"] or m["broadcast"]) and
                     micros(args.get("oldest", 0)) < micros(ts) < micros(args.get("latest", 1e10))]
        found.sort(key=lambda m: m["ts"], reverse=True)
        said = [dict({"type": "message", "ts": m["ts"], "text": m["text"], "blocks": m["blocks"]},
                     **m["by"]) for m in found[:limit]]
        if args.get("include_all_metadata") == "true":
            for shown, m in zip(said, found):
                if m["metadata"]:
                    shown["metadata"] = m["metadata"]
        return {"messages": said, "has_more": len(found) > limit, "pin_count": 0}
