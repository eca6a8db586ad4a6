-- Grants: "allow this for an hour, five times". A grant is the standing vote of one person for calls
-- of one agent and tool whose pinned arguments are those of an approval that was shown. Arguments
-- are not kept here, only a keyed digest of the pinned ones.

CREATE TABLE call_grant (
    organization_id uuid NOT NULL REFERENCES organization,
    grant_id uuid NOT NULL,
    approval_id uuid NOT NULL,                   -- the approval that it was made from
    agent_id uuid NOT NULL,
    server_id uuid NOT NULL,
    tool text NOT NULL,                          -- published name
    definition_digest bytea NOT NULL,
    server_digest bytea NOT NULL,                -- plugin, configuration, environment, account
    rule text NOT NULL,                          -- the rule that asks, and what it asks for
    ask text NOT NULL,
    pins jsonb NOT NULL,                         -- JSON pointers; [""]: the arguments as a whole
    pinned bytea NOT NULL,                       -- keyed digest of what stands at the pins
    person_id uuid NOT NULL,                     -- whose vote it is
    has_second_factor boolean NOT NULL,          -- proved when it was made
    reason text,
    uses integer NOT NULL CHECK (uses BETWEEN 1 AND 1000),
    used integer NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_by text,
    PRIMARY KEY (organization_id, grant_id),
    FOREIGN KEY (organization_id, approval_id) REFERENCES approval,
    FOREIGN KEY (organization_id, agent_id) REFERENCES agent,
    FOREIGN KEY (organization_id, person_id) REFERENCES membership
);
CREATE INDEX call_grant_person ON call_grant (organization_id, person_id);
CREATE INDEX call_grant_recent ON call_grant (organization_id, expires_at);

ALTER TABLE approval ADD COLUMN grant_id uuid;   -- the grant by which it was approved
CREATE INDEX approval_grant ON approval (organization_id, grant_id) WHERE grant_id IS NOT NULL;

ALTER TABLE call_grant ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_grant FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON call_grant TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON call_grant FOR SELECT TO flopinio_verifier USING (true);
GRANT SELECT, INSERT ON call_grant TO flopinio_app;
-- What a grant covers never changes; it is used, and it is revoked.
GRANT UPDATE (used, revoked_at, revoked_by) ON call_grant TO flopinio_app;
GRANT SELECT ON call_grant TO flopinio_verifier;
