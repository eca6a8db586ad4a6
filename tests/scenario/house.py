"""An organization as its owner sets it up over the API, for the tests of the REST API."""
import base64
import hashlib
import hmac
import struct
import threading
import time

from harness import unique

STRICT = dict(operator_authority="until_admin")
NEW = "eleven purple teapots"


class House:
    """An organization that its owner set up over the API: own people, no servers, no policy."""

    ROLES = ("admin", "approver", "auditor", "member")

    def __init__(self, rt):
        self.rt = rt
        self.name = unique("h")
        rt.control("POST", "/orgs", {"name": self.name, "title": "House"})
        self.owner = (unique("owner"), NEW)
        rt.control("POST", self.path("/people"), {"name": self.owner[0], "role": "owner",
                                                  "passphrase": NEW})
        self.token = self.make_token(self.owner)
        for role in self.ROLES:
            setattr(self, role, self.add(role))

    def path(self, rest=""):
        return "/orgs/%s%s" % (self.name, rest)

    def person(self, who, rest=""):
        return self.path("/people/%s%s" % (who[0], rest))

    def make_token(self, who, scopes=("read", "admin"), **more):
        return self.rt.rest("POST", "/me/tokens", dict({"name": "t", "scopes": list(scopes)}, **more),
                            who)["token"]

    def add(self, role, **more):
        who = (unique(role), NEW)
        self.do("POST", "/people", dict({"name": who[0], "role": role, "passphrase": NEW}, **more),
                self.owner)
        return who

    def do(self, method, path, body=None, auth=None, **more):
        """As the owner, unless somebody else is named."""
        return self.rt.rest(method, self.path(path), body, auth or self.token, **more)

    def status(self, method, path, body=None, auth=None, **more):
        return self.do(method, path, body, auth, raw=True, **more)[0]

    def people(self):
        return {p["name"]: p for p in self.do("GET", "/people")["items"]}

    def role_of(self, name, auth=None):
        rows = self.do("GET", "/people", None, auth)["items"]
        return next(p["role"] for p in rows if p["name"] == name)

    def kinds(self, subject=None):
        rows = self.rt.sql(
            "SELECT kind FROM audit_event JOIN organization USING (organization_id) WHERE name = %s "
            "AND (%s::text IS NULL OR leaf LIKE %s) ORDER BY recorded_at, event_id", self.name,
            subject, ("%" + (subject or "") + "%").encode())
        return [r["kind"] for r in rows]


def add_voters(org, count):
    """Approvers without passphrases, made at once; their names. Tokens: token_for."""
    stem = unique("v")
    names = ["%s-%d" % (stem, i) for i in range(count)]
    org.rt.sql("INSERT INTO person (person_id, name) SELECT gen_random_uuid(), n FROM "
               "unnest(%s) AS n", names)
    org.rt.sql("INSERT INTO membership (organization_id, person_id, role) SELECT %s, person_id, "
               "'approver' FROM person WHERE name = ANY (%s)", org.id, names)
    org.rt.sql("UPDATE organization SET revision = revision + 1, changed_at = clock_timestamp() "
               "WHERE organization_id = %s", org.id)
    org.sync()
    return names


def code_of(secret, step=0):
    key = base64.b32decode(secret)
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + step), hashlib.sha1).digest()
    at = mac[-1] & 15
    return "%06d" % ((struct.unpack(">I", mac[at:at + 4])[0] & 0x7fffffff) % 10**6)


def both(*functions):
    """Runs them at the same moment; their results or exceptions."""
    barrier = threading.Barrier(len(functions))
    results = [None] * len(functions)

    def run(i):
        barrier.wait()
        try:
            results[i] = functions[i]()
        except Exception as e:  # noqa: the caller looks at it
            results[i] = e
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results
