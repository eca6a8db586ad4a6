"""Socket Mode, as Slack's end of it. A part of fake_slack.py."""
import json
import threading

from harness import wait_for

TRIGGER_S = 3


class Line:
    """One WebSocket of Socket Mode, as Slack's end of it."""

    def __init__(self, fake, handler):
        self.fake, self.handler = fake, handler
        self.acks, self.is_closed, self.sends = {}, False, threading.Lock()

    def frame(self, opcode, data):
        n = len(data)
        head = bytes([0x80 | opcode]) + (bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big")
                                         if n < 65536 else b"\x7f" + n.to_bytes(8, "big"))
        with self.sends:
            self.handler.wfile.write(head + data)
            self.handler.wfile.flush()

    def say(self, value):
        self.frame(1, json.dumps(value).encode())

    def run(self):
        self.say({"type": "hello", "num_connections": len(self.fake.lines), "debug_info": {},
                  "connection_info": {"app_id": "A0FAKE"}})
        if self.fake.hangs_up:
            self.say({"type": "disconnect", "reason": "link_disabled", "debug_info": {}})
            self.close()
        try:
            while True:
                a, b = self.handler.rfile.read(2)
                n = b & 0x7f
                if n > 125:
                    n = int.from_bytes(self.handler.rfile.read(2 if n == 126 else 8), "big")
                if not b & 0x80:
                    self.fake.violations.append("socket: a frame without a mask")
                mask = self.handler.rfile.read(4)
                data = bytes(c ^ mask[i & 3] for i, c in enumerate(self.handler.rfile.read(n)))
                if a & 15 == 9:
                    self.frame(10, data)
                elif a & 15 == 8:
                    self.frame(8, data[:2])
                    break
                elif a & 15 == 1:
                    value = json.loads(data)
                    with self.fake.lock:
                        self.acks[value["envelope_id"]] = value
        except (OSError, ValueError):
            pass
        self.close()

    def close(self):
        with self.fake.lock:
            self.is_closed = True
            if self in self.fake.lines:
                self.fake.lines.remove(self)
        try:
            self.handler.connection.shutdown(2)
        except OSError:
            pass

    def deliver(self, payload):
        id = "env-%d" % next(self.fake.serial)
        kind = ("slash_commands" if "command" in payload else
                "events_api" if payload["type"] == "event_callback" else "interactive")
        self.say({"type": kind, "envelope_id": id, "accepts_response_payload": True,
                  "payload": payload})
        ack = wait_for("the acknowledgement", lambda: self.acks.get(id), TRIGGER_S)
        return 200, json.dumps(ack["payload"]).encode() if "payload" in ack else b""
