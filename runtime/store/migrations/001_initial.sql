-- Organizations, people, agents, tools, policy, approvals, audit. Runs as flopinio_owner.
-- organization_id is the first column of every key and foreign key, so that rows can be
-- distributed by it one day. Row security is forced on every table that has it.

CREATE FUNCTION org() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('flopinio.organization', true), '')::uuid $$;

-- ------------------------------------------------------------------ installation-wide
CREATE TABLE installation (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    key_checks jsonb NOT NULL DEFAULT '{}'   -- key id -> known value under that key
);

CREATE TABLE worker (
    id uuid PRIMARY KEY,
    node text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- One owner at a time for a sweep, a poll, a socket.
CREATE TABLE lease (
    name text PRIMARY KEY,
    owner uuid NOT NULL,
    fence bigint NOT NULL DEFAULT 1,
    until timestamptz NOT NULL
);

CREATE TABLE organization (
    organization_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    title text NOT NULL DEFAULT '',
    policy_version integer NOT NULL DEFAULT 0,   -- 0: no policy, everything is denied
    revision bigint NOT NULL DEFAULT 1,          -- grows with every change that workers cache
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX organization_changed ON organization (changed_at);

-- People are installation-wide, so that distinct humans can be counted.
CREATE TABLE person (
    person_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    display_name text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    passphrase_hash text,
    totp_secret bytea,                           -- encrypted
    totp_last_step bigint NOT NULL DEFAULT 0,    -- a code works once
    is_active boolean NOT NULL DEFAULT true,
    failed_count integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE personal_token (
    token_id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES person,
    name text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX personal_token_person ON personal_token (person_id);

-- ------------------------------------------------------------------ people in organizations
CREATE TABLE membership (
    organization_id uuid NOT NULL REFERENCES organization,
    person_id uuid NOT NULL REFERENCES person,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'approver', 'auditor', 'member')),
    left_at timestamptz,                         -- offboarded here: seen by name, may do nothing
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, person_id)
);

CREATE TABLE org_group (
    organization_id uuid NOT NULL REFERENCES organization,
    group_id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    title text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, group_id),
    UNIQUE (organization_id, name)
);

CREATE TABLE group_member (
    organization_id uuid NOT NULL,
    group_id uuid NOT NULL,
    person_id uuid NOT NULL,
    PRIMARY KEY (organization_id, group_id, person_id),
    FOREIGN KEY (organization_id, group_id) REFERENCES org_group ON DELETE CASCADE,
    FOREIGN KEY (organization_id, person_id) REFERENCES membership ON DELETE CASCADE
);
CREATE INDEX group_member_person ON group_member (organization_id, person_id);

-- ------------------------------------------------------------------ agents
CREATE TABLE agent (
    organization_id uuid NOT NULL REFERENCES organization,
    agent_id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    title text NOT NULL DEFAULT '',
    owner_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'frozen', 'revoked')),
    labels jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, agent_id),
    UNIQUE (organization_id, name),
    FOREIGN KEY (organization_id, owner_id) REFERENCES membership
);
CREATE INDEX agent_owner ON agent (organization_id, owner_id);

CREATE TABLE agent_credential (
    organization_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    name text NOT NULL DEFAULT '',
    token_hash bytea NOT NULL,
    client text NOT NULL DEFAULT 'sdk',
    hold_ms bigint NOT NULL,
    tools text[] NOT NULL DEFAULT '{*}',         -- scopes: tool name patterns
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, credential_id),
    FOREIGN KEY (organization_id, agent_id) REFERENCES agent
);
CREATE INDEX agent_credential_hash ON agent_credential (token_hash);
CREATE INDEX agent_credential_agent ON agent_credential (organization_id, agent_id);

-- Legacy MCP sessions over Streamable HTTP: any worker of the node answers for them.
CREATE TABLE mcp_session (
    organization_id uuid NOT NULL,
    session_hash bytea NOT NULL,
    credential_id uuid NOT NULL,
    version text NOT NULL,
    is_ready boolean NOT NULL DEFAULT false,     -- notifications/initialized was seen
    facts jsonb NOT NULL DEFAULT '{}',           -- what initialize said: capabilities, clientInfo
    stream_worker uuid,                          -- who holds the GET stream
    seen_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, session_hash),
    FOREIGN KEY (organization_id, credential_id) REFERENCES agent_credential
);
CREATE INDEX mcp_session_seen ON mcp_session (seen_at);

-- ------------------------------------------------------------------ tools and policy
CREATE TABLE server (
    organization_id uuid NOT NULL REFERENCES organization,
    server_id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,31}$'),
    kind text NOT NULL CHECK (kind IN ('plugin')),
    plugin text NOT NULL,
    config jsonb NOT NULL DEFAULT '{}',
    environment text NOT NULL DEFAULT '',        -- "production"; shown on cards
    account text NOT NULL DEFAULT '',            -- whose account; shown on cards
    is_enabled boolean NOT NULL DEFAULT true,
    note text NOT NULL DEFAULT '',               -- why the last description failed
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, server_id),
    UNIQUE (organization_id, name)
);

CREATE TABLE tool (
    organization_id uuid NOT NULL,
    server_id uuid NOT NULL,
    name text NOT NULL,                          -- the server's own name for it
    published text NOT NULL,                     -- the name that agents and policy use
    definition text NOT NULL,                    -- canonical JSON as the server says it today
    digest bytea NOT NULL,
    accepted_definition text,                    -- the pin
    accepted_digest bytea,
    accepted_effects text CHECK (accepted_effects IN ('read', 'write')),
    secrets jsonb NOT NULL DEFAULT '[]',         -- JSON pointers of secret arguments
    is_quarantined boolean NOT NULL DEFAULT false,
    is_gone boolean NOT NULL DEFAULT false,      -- the server does not offer it any more
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, server_id, name),
    UNIQUE (organization_id, published),
    FOREIGN KEY (organization_id, server_id) REFERENCES server ON DELETE CASCADE
);

CREATE TABLE policy (
    organization_id uuid NOT NULL REFERENCES organization,
    version integer NOT NULL,
    document text NOT NULL,
    digest bytea NOT NULL,
    applied_by text NOT NULL,
    note text NOT NULL DEFAULT '',
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, version)
);

CREATE TABLE stop (
    organization_id uuid NOT NULL REFERENCES organization,
    stop_id uuid NOT NULL,
    scope text NOT NULL CHECK (scope IN ('org', 'group', 'server', 'agent', 'person', 'tool')),
    name text NOT NULL,
    reason text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz,
    lifted_at timestamptz,
    lifted_by text,
    PRIMARY KEY (organization_id, stop_id)
);
CREATE INDEX stop_active ON stop (organization_id) WHERE lifted_at IS NULL;

-- ------------------------------------------------------------------ approvals
CREATE SEQUENCE dispatch_number;

CREATE TABLE approval (
    organization_id uuid NOT NULL REFERENCES organization,
    approval_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('tool_call', 'action', 'tool_change', 'policy_change')),
    state text NOT NULL,
    -- who asked for what
    agent_id uuid NOT NULL,
    credential_id uuid,
    owner_id uuid NOT NULL,
    server_id uuid NOT NULL,
    tool text NOT NULL,                          -- published name
    tool_name text NOT NULL,                     -- the server's own name
    definition_digest bytea NOT NULL,
    arguments bytea NOT NULL,                    -- canonical JSON, encrypted
    arguments_bytes integer NOT NULL,
    binding_salt bytea NOT NULL,
    binding_digest bytea NOT NULL,
    fingerprint bytea NOT NULL,                  -- keyed, of agent, tool and arguments
    idempotency_key text,
    justification bytea,                         -- encrypted
    preview_kind text NOT NULL DEFAULT 'none' CHECK (preview_kind IN ('none', 'text', 'diff')),
    preview bytea,                               -- encrypted
    preview_at timestamptz,
    precondition text,
    asked_count integer NOT NULL DEFAULT 1,
    retry_of uuid,                               -- "it did not happen, run it again"
    is_isolated boolean NOT NULL DEFAULT true,   -- false: agent and runtime share an OS user
    card jsonb NOT NULL DEFAULT '{}',            -- frozen for the card: sentence, secrets, where
    -- why and who decides
    policy_version integer NOT NULL,
    rule text NOT NULL,
    ask jsonb NOT NULL DEFAULT '{}',             -- frozen at intake
    is_standing boolean NOT NULL DEFAULT false,
    decided_at timestamptz,
    decided_by text,                             -- whose vote was the last one needed
    reason text,                                 -- why rejected, voided, cancelled, unknown ...
    may_ask_again boolean NOT NULL DEFAULT false,
    -- who waits
    wait_mode text NOT NULL CHECK (wait_mode IN ('held', 'task', 'left')),
    holder uuid,                                 -- worker that holds the call
    task_id text,
    mcp_session bytea,                           -- legacy HTTP: whose request, and on which stream,
    mcp_request text,                            -- so that any worker can cancel or resume it
    mcp_stream text,
    left_at timestamptz,
    grace_until timestamptz,                     -- cancelled then, unless somebody collects it
    after_leave text NOT NULL DEFAULT 'wait' CHECK (after_leave IN ('wait', 'cancel')),
    break_cancels boolean NOT NULL DEFAULT false, -- in the caller's era a broken stream cancels
    -- time
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    frozen_at timestamptz,                       -- stopped: the deadline stands still
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- running it
    fence bigint NOT NULL DEFAULT 0,
    claim_owner uuid,
    lease_until timestamptz,
    dispatch_number bigint,
    dispatched_at timestamptz,
    dispatch_deadline timestamptz,
    unknown_after timestamptz,                   -- deadline + timeout + grace
    -- how it ended
    settled_at timestamptz,
    settled_by text,                             -- person, when a human settled an unknown one
    outcome text,
    result bytea,                                -- encrypted
    result_bytes bigint,
    delivered_at timestamptz,
    PRIMARY KEY (organization_id, approval_id),
    FOREIGN KEY (organization_id, agent_id) REFERENCES agent
);
CREATE UNIQUE INDEX approval_task ON approval (organization_id, task_id) WHERE task_id IS NOT NULL;
CREATE INDEX approval_session ON approval (organization_id, mcp_session)
    WHERE mcp_session IS NOT NULL;
CREATE UNIQUE INDEX approval_idempotency ON approval (organization_id, agent_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX approval_fingerprint ON approval (organization_id, agent_id, fingerprint, created_at);
CREATE INDEX approval_created ON approval (organization_id, created_at);
CREATE INDEX approval_pending ON approval (organization_id, agent_id) WHERE state = 'pending';
CREATE INDEX approval_open ON approval (organization_id, created_at)
    WHERE state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown');
CREATE INDEX approval_due ON approval (expires_at)
    WHERE state IN ('pending', 'approved', 'claimed') AND frozen_at IS NULL;
CREATE INDEX approval_lease ON approval (lease_until) WHERE state = 'claimed';
CREATE INDEX approval_dispatched ON approval (unknown_after) WHERE state = 'dispatched';
CREATE INDEX approval_ready ON approval (decided_at)
    WHERE state = 'approved' AND wait_mode = 'task' AND frozen_at IS NULL;
CREATE INDEX approval_grace ON approval (grace_until) WHERE grace_until IS NOT NULL;
CREATE INDEX approval_held ON approval (holder)
    WHERE wait_mode = 'held' AND state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown');

CREATE TABLE vote (
    organization_id uuid NOT NULL,
    approval_id uuid NOT NULL,
    person_id uuid NOT NULL REFERENCES person,
    verdict text NOT NULL CHECK (verdict IN ('approve', 'deny')),
    reason text,
    via text NOT NULL,
    has_second_factor boolean NOT NULL DEFAULT false,
    is_owner boolean NOT NULL DEFAULT false,     -- the agent's owner decided (solo profile)
    voted_at timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz,
    PRIMARY KEY (organization_id, approval_id, person_id),
    FOREIGN KEY (organization_id, approval_id) REFERENCES approval
);
CREATE INDEX vote_person ON vote (organization_id, person_id);

-- What has to be told elsewhere (chat, mail): written with the change, sent later, at least once.
CREATE TABLE outbox (
    organization_id uuid NOT NULL REFERENCES organization,
    outbox_id uuid NOT NULL,
    approval_id uuid,
    channel text NOT NULL,
    kind text NOT NULL,
    next_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    sent_ref text,
    PRIMARY KEY (organization_id, outbox_id)
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE sent_at IS NULL;

-- ------------------------------------------------------------------ audit
-- One row per event, with the exact leaf bytes, in the transaction of the change. Partitioned by
-- time. No foreign key: the audit outlives what it speaks of.
CREATE TABLE audit_event (
    organization_id uuid NOT NULL,
    event_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    subject_kind text NOT NULL,
    subject_id uuid,
    leaf bytea NOT NULL,
    PRIMARY KEY (organization_id, event_id, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX audit_event_time ON audit_event (organization_id, recorded_at);
CREATE INDEX audit_event_brin ON audit_event USING brin (recorded_at);
CREATE INDEX audit_event_subject ON audit_event (organization_id, subject_id, recorded_at)
    WHERE subject_id IS NOT NULL;
CREATE INDEX audit_event_actor ON audit_event (organization_id, actor_id, recorded_at)
    WHERE actor_id IS NOT NULL;
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;

-- Makes the partition of the month that `at` lies in. DDL: not for the app role itself.
CREATE FUNCTION audit_partition(at timestamptz) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = flopinio, pg_temp AS $$
DECLARE
    start timestamptz := date_trunc('month', at, 'UTC');
    part text := 'audit_event_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMM');
BEGIN
    IF to_regclass('flopinio.' || part) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7337002);
    IF to_regclass('flopinio.' || part) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE flopinio.%I PARTITION OF flopinio.audit_event '
                   'FOR VALUES FROM (%L) TO (%L)',
                   part, start, start + interval '1 month');
    EXECUTE format('ALTER TABLE flopinio.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE flopinio.%I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY closed ON flopinio.%I USING (false)', part);
END $$;
SELECT audit_partition(now()), audit_partition(now() + interval '1 month');

-- ------------------------------------------------------------------ row security
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['organization', 'membership', 'org_group', 'group_member', 'agent',
        'agent_credential', 'mcp_session', 'server', 'tool', 'policy', 'stop', 'approval', 'vote',
        'outbox']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own ON %I TO flopinio_app USING '
                       '(organization_id = (SELECT org())) WITH CHECK '
                       '(organization_id = (SELECT org()))', t);
        EXECUTE format('CREATE POLICY verify ON %I FOR SELECT TO flopinio_verifier USING (true)',
                       t);
    END LOOP;
END $$;
ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event FORCE ROW LEVEL SECURITY;
-- A batch carries the rows of many organizations; reading stays restricted.
CREATE POLICY write ON audit_event FOR INSERT TO flopinio_app WITH CHECK (true);
CREATE POLICY own ON audit_event FOR SELECT TO flopinio_app
    USING (organization_id = (SELECT org()));
CREATE POLICY verify ON audit_event FOR SELECT TO flopinio_verifier USING (true);
ALTER TABLE audit_event_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event_default FORCE ROW LEVEL SECURITY;
CREATE POLICY closed ON audit_event_default USING (false);

-- A person is seen where they are a member.
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
ALTER TABLE person FORCE ROW LEVEL SECURITY;
CREATE POLICY members ON person FOR SELECT TO flopinio_app USING (
    EXISTS (SELECT 1 FROM membership m
            WHERE m.organization_id = (SELECT org()) AND m.person_id = person.person_id));
CREATE POLICY verify ON person FOR SELECT TO flopinio_verifier USING (true);
ALTER TABLE personal_token ENABLE ROW LEVEL SECURITY;
ALTER TABLE personal_token FORCE ROW LEVEL SECURITY;
CREATE POLICY verify ON personal_token FOR SELECT TO flopinio_verifier USING (true);

-- ------------------------------------------------------------------ rights
GRANT USAGE ON SCHEMA flopinio TO flopinio_app, flopinio_verifier, flopinio_lookup, flopinio_sweep;
GRANT SELECT ON installation TO flopinio_app, flopinio_verifier;
GRANT INSERT, UPDATE ON installation TO flopinio_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON worker, lease TO flopinio_app;
GRANT SELECT, INSERT, UPDATE ON organization, membership, org_group, agent, agent_credential,
    server, tool, stop, vote TO flopinio_app;
GRANT SELECT, INSERT ON policy, approval TO flopinio_app;
-- What was asked and how it is bound never changes; only how it goes on.
GRANT UPDATE (state, decided_at, decided_by, reason, may_ask_again, wait_mode, holder, left_at, grace_until,
              expires_at, frozen_at, changed_at, fence, claim_owner, lease_until, dispatch_number,
              dispatched_at, dispatch_deadline, unknown_after, settled_at, settled_by, outcome,
              result, result_bytes, delivered_at, asked_count)
    ON approval TO flopinio_app;
GRANT DELETE ON org_group, server, tool TO flopinio_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON group_member, mcp_session, outbox TO flopinio_app;
GRANT SELECT (person_id, name, display_name, email, is_active, created_at) ON person
    TO flopinio_app;
GRANT SELECT, INSERT ON audit_event TO flopinio_app;
GRANT USAGE ON SEQUENCE dispatch_number TO flopinio_app;
GRANT SELECT ON ALL TABLES IN SCHEMA flopinio TO flopinio_verifier;
REVOKE SELECT ON person, personal_token FROM flopinio_verifier;
GRANT SELECT (person_id, name, display_name, is_active, created_at) ON person
    TO flopinio_verifier;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA flopinio FROM PUBLIC;
GRANT EXECUTE ON FUNCTION org() TO flopinio_app, flopinio_verifier, flopinio_lookup,
    flopinio_sweep;
GRANT EXECUTE ON FUNCTION audit_partition(timestamptz) TO flopinio_app;
