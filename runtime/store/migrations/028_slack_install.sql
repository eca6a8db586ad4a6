-- Slack apps that are being installed by OAuth: from the address that an administrator opens to the
-- token that Slack gave for it. What the browser brings back is here as a digest, and good for once.
CREATE TABLE slack_install (
    organization_id uuid NOT NULL REFERENCES organization,
    install_id uuid NOT NULL,
    state_hash bytea NOT NULL,
    channel text NOT NULL,                       -- whose token it will be; need not be there
    begun_by uuid,                               -- a person, who alone may take it; null: the operator
    secret bytea NOT NULL,                       -- JSON object, encrypted: the app's, then the token too
    expires_at timestamptz NOT NULL,
    used_at timestamptz,                         -- the browser came back
    outcome jsonb,                               -- where it was installed; no secrets
    trouble text NOT NULL DEFAULT '',            -- why not
    taken_at timestamptz,                        -- the channel has it
    PRIMARY KEY (organization_id, install_id),
    UNIQUE (organization_id, state_hash)
);
CREATE INDEX slack_install_state ON slack_install (state_hash);   -- a browser says no organization
ALTER TABLE slack_install ENABLE ROW LEVEL SECURITY;
ALTER TABLE slack_install FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON slack_install TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON slack_install FOR SELECT TO flopinio_verifier USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON slack_install TO flopinio_app;
GRANT SELECT ON slack_install TO flopinio_verifier;

GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup;
CREATE POLICY lookup ON slack_install TO flopinio_lookup USING (true);
GRANT SELECT (organization_id, install_id, state_hash, used_at, expires_at) ON slack_install
    TO flopinio_lookup;
GRANT UPDATE (used_at) ON slack_install TO flopinio_lookup;

-- Which it is, the first time, within its time; in no organization, as a browser says none.
CREATE FUNCTION slack_install_use(hash bytea)
RETURNS TABLE (organization_id uuid, install_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE slack_install i SET used_at = now()
    WHERE i.state_hash = hash AND i.used_at IS NULL AND i.expires_at > now()
    RETURNING i.organization_id, i.install_id $$;
REVOKE ALL ON FUNCTION slack_install_use(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slack_install_use(bytea) TO flopinio_app;
ALTER FUNCTION slack_install_use(bytea) OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup;
