"""What an app has in the fake Slack: scopes, events, commands, and installing it by OAuth. A part of
fake_slack.py; the tables are as Slack's documentation has them."""
import hashlib
import time
import urllib.parse

# Scopes that a bot needs for it, by the first letter of the channel where there are two.
SCOPES = {
    "users.info": "users:read",
    "conversations.info": {"C": "channels:read", "G": "groups:read"},
    "conversations.history": {"C": "channels:history", "G": "groups:history", "D": "im:history"},
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
}
COMMANDS = {"/flopinio": "commands"}
# What is told to an app that asks for it, and the scope that this takes.
EVENTS = {"app_home_opened": None, "user_change": "users:read"}
EVENTS.update({"channel_" + e: "channels:read" for e in (
    "archive", "deleted", "left", "shared", "unarchive", "unshared")})
EVENTS.update({"group_" + e: "groups:read" for e in ("archive", "deleted", "left", "unarchive")})
ALL_SCOPES = {s for v in list(SCOPES.values()) + list(COMMANDS.values())
              for s in (v.values() if isinstance(v, dict) else [v])}
HISTORY_SCOPES = set(SCOPES["conversations.history"].values())
CLIENT, CLIENT_SECRET = "1234567890.0987654321", "c1ient" + "0123456789abcdef" * 2
CODE_S = 600
TEAM = "T1HOME"


class Refuse(Exception):
    def __init__(self, error, status=200, headers=()):
        super().__init__(error)
        self.status, self.headers = status, dict(headers)
        self.body = {"ok": False, "error": error}


class User:
    def __init__(self, id, name, team=TEAM, **more):
        self.id, self.name, self.team = id, name, team
        self.json = dict({"id": id, "team_id": team, "name": name, "deleted": False,
                          "is_bot": False, "is_restricted": False, "is_ultra_restricted": False},
                         **more)


class App:
    """Of FakeSlack: a person consents, and the code is exchanged for a token."""

    def consent(self, url, deny=False):
        """A person opens the address that installs the app, and agrees: where the browser is sent."""
        at = urllib.parse.urlsplit(url)
        args = urllib.parse.parse_qs(at.query, strict_parsing=True)
        asked = set(args["scope"][0].split(","))
        if "%s://%s" % (at.scheme, at.netloc) != self.origin or at.path != "/oauth/v2/authorize" or \
                set(args) != {"client_id", "scope", "redirect_uri", "state"} or \
                any(len(v) != 1 for v in args.values()) or args["client_id"] != [CLIENT] or \
                asked != self.asked_scopes or args["redirect_uri"][0] not in self.redirect_urls:
            self.violations.append("authorize: %s" % url)
            raise Refuse("bad_authorize")
        back = {"state": args["state"][0]}
        if deny:
            back["error"] = "access_denied"
        else:
            back["code"] = "code-%d.%s" % (next(self.serial), "0a" * 16)
            self.codes[back["code"]] = [time.monotonic(), args["redirect_uri"][0], False]
        return args["redirect_uri"][0] + "?" + urllib.parse.urlencode(back)

    def do_oauth_v2_access(self, args):
        code = self.codes.get(args.get("code"))
        if args.get("client_id") != CLIENT:
            raise Refuse("invalid_client_id")
        if args.get("client_secret") != CLIENT_SECRET:
            raise Refuse("bad_client_secret")
        if not code or time.monotonic() - code[0] > CODE_S:
            raise Refuse("invalid_code")
        if code[2]:
            raise Refuse("code_already_used")
        if args.get("redirect_uri") != code[1]:
            raise Refuse("bad_redirect_uri")
        code[2] = True
        self.token = "xoxb-" + hashlib.sha256(args["code"].encode()).hexdigest()
        answer = {"access_token": self.token, "token_type": "bot", "app_id": "A0FAKE",
                  "scope": ",".join(sorted(self.scopes)), "bot_user_id": "U0BOT",
                  "team": {"id": self.team, "name": "Home"},
                  "enterprise": {"id": self.enterprise, "name": "Grid"} if self.enterprise else None,
                  "is_enterprise_install": False, "authed_user": {"id": "U1ADMIN"}}
        if self.is_org_wide:
            answer.update(team=None, is_enterprise_install=True)
        answer.update(self.grants or {})
        return answer
