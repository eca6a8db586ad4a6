"""Fills the tables of a running installation by bulk SQL, where it is not the writing that a
benchmark measures: organizations as copies of the first one, agents, pending approvals."""
import base64
import contextlib
import hashlib
import os
import time

from psycopg2.extras import execute_values

COPIED = ("organization", "membership", "policy", "server", "tool")


def credential():
    """An agent's token (its form: runtime/crypto/token.h) and the digest that is stored."""
    def b64(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    body = "fla_" + b64(os.urandom(32))
    token = body + b64(hashlib.sha256(b"flopinio/token/1" + body.encode()).digest()[:5])[:6]
    return token, hashlib.sha256(token.encode()).digest()


def _copy(cur, table, template):
    """Rows of the template's as every clone's; in `organization` and `server` new ids and names."""
    cur.execute("SELECT column_name FROM information_schema.columns WHERE table_schema = 'flopinio' "
                "AND table_name = %s ORDER BY ordinal_position", (table,))
    names = [row[0] for row in cur.fetchall()]
    other = {"organization_id": "c.organization_id", "server_id": "c.server_id"}
    if table == "organization":
        other["name"] = "c.name"
    cur.execute("INSERT INTO %s (%s) SELECT %s FROM bench_clone c, %s t WHERE t.organization_id = %%s"
                % (table, ", ".join(names), ", ".join(other.get(n, "t." + n) for n in names), table),
                (template,))


def organizations(ours, count, agents):
    """`count` more, with the people, policy, server and tools of the first one; `agents` agents over
    the first of them, one each. Returns the agents' tokens."""
    stem = "x%d" % (time.time() * 1000)
    made = [credential() for _ in range(agents)]
    with contextlib.closing(ours.rt.connect()) as conn, conn.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        cur.execute("CREATE TEMP TABLE bench_clone AS SELECT i, gen_random_uuid() AS organization_id, "
                    "gen_random_uuid() AS server_id, %s || i AS name FROM generate_series(1, %s) i",
                    (stem + "-", count))
        # First: without it they look as if somebody had loaded them.
        cur.execute("INSERT INTO origin (organization_id) SELECT organization_id FROM bench_clone")
        for table in COPIED:
            _copy(cur, table, ours.org.id)
        _agents(cur, ours, made, "SELECT organization_id FROM bench_clone ORDER BY i")
        cur.execute("DROP TABLE bench_clone")
        cur.execute("ANALYZE organization, membership, policy, server, tool, agent, agent_credential")
    return [token for token, _ in made]


def agents(ours, count):
    """More agents of the first organization; their tokens."""
    made = [credential() for _ in range(count)]
    with contextlib.closing(ours.rt.connect()) as conn, conn.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        _agents(cur, ours, made, cur.mogrify("SELECT %s::uuid", (ours.org.id,)).decode())
    return [token for token, _ in made]


def _agents(cur, ours, made, places):
    """One for each of `made`, in turn in each place of that query."""
    cur.execute(places)
    where = [row[0] for row in cur.fetchall()]
    owner = ours.rt.sql("SELECT owner_id FROM agent WHERE organization_id = %s LIMIT 1",
                        ours.org.id)[0]["owner_id"]
    cur.execute("CREATE TEMP TABLE bench_agent (organization_id uuid, agent_id uuid DEFAULT "
                "gen_random_uuid(), name text, hash bytea)")
    execute_values(cur, "INSERT INTO bench_agent (organization_id, name, hash) VALUES %s",
                   [(where[i % len(where)], "a%d-%s" % (i, digest.hex()[:8]), digest)
                    for i, (_, digest) in enumerate(made)], page_size=1000)
    cur.execute("INSERT INTO agent (organization_id, agent_id, name, owner_id) SELECT "
                "organization_id, agent_id, name, %s FROM bench_agent", (owner,))
    cur.execute("INSERT INTO agent_credential (organization_id, credential_id, agent_id, token_hash, "
                "hold_ms) SELECT organization_id, gen_random_uuid(), agent_id, hash, 50000 FROM "
                "bench_agent")
    cur.execute("DROP TABLE bench_agent")


PENDING = """
INSERT INTO approval (organization_id, approval_id, agent_id, credential_id, owner_id, state, kind,
    tool, tool_name, definition_digest, server_id, arguments, arguments_bytes, binding_salt,
    binding_digest, fingerprint, policy_version, rule, ask, card, wait_mode, task_id, created_at,
    expires_at)
SELECT a.organization_id,
    (lpad(to_hex((extract(epoch FROM t.at) * 1000)::bigint), 12, '0') || '7' ||
     substr(md5(random()::text), 14))::uuid,
    a.agent_id, a.credential_id, a.owner_id, 'pending', 'tool_call', 'b__put', 'put',
    sha256('definition'), a.server_id, convert_to(repeat(md5(i::text), 8), 'UTF8'), 190,
    decode(md5(i::text), 'hex'), sha256(i::text::bytea), decode(md5(i::text), 'hex'), 1, 'writes',
    '{"notify": ["inbox"], "thresholds": [{"approve": 1}]}', '{"title": "Run b__put"}', 'task',
    gen_random_uuid()::text, t.at, now() + interval '1 day' + i * interval '0.3 seconds'
FROM generate_series(%s::bigint, %s::bigint) i
CROSS JOIN LATERAL (SELECT now() - (%s - i) * interval '0.01 seconds') t (at)
JOIN bench_asker a ON a.n = i %% %s
"""


def pending(ours, count, organization=None, is_noticed=True):
    """So many, of all agents in turn (of that organization), with deadlines in the next days.
    is_noticed: with their statistics, as autovacuum makes them by itself, later."""
    with contextlib.closing(ours.rt.connect()) as conn, conn.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        cur.execute("CREATE TEMP TABLE bench_asker AS SELECT row_number() OVER () - 1 AS n, "
                    "c.organization_id, c.agent_id, c.credential_id, g.owner_id, "
                    "coalesce(s.server_id, gen_random_uuid()) AS server_id FROM agent_credential c "
                    "JOIN agent g USING (organization_id, agent_id) LEFT JOIN server s "
                    "USING (organization_id) WHERE %s::uuid IS NULL OR organization_id = %s",
                    (organization, organization))
        cur.execute("SELECT count(*) FROM bench_asker")
        askers = cur.fetchone()[0]
        for at in range(0, count, 100000):
            cur.execute(PENDING, (at + 1, min(at + 100000, count), count, askers))
        cur.execute("DROP TABLE bench_asker")
        if is_noticed:
            cur.execute("VACUUM (ANALYZE) approval")
            cur.execute("CHECKPOINT")
