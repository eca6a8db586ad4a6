-- Who opened the app's home in Slack, and what stands there: it is published again when that changed.
CREATE TABLE slack_home (
    organization_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    external_id text NOT NULL,                   -- as in chat_identity; need not be linked
    team text NOT NULL,
    user_id text NOT NULL,
    seen_at timestamptz NOT NULL,                -- it was opened
    shown bytea NOT NULL,                        -- digest of what stands there
    published_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, channel_id, external_id),
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE
);
ALTER TABLE slack_home ENABLE ROW LEVEL SECURITY;
ALTER TABLE slack_home FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON slack_home TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON slack_home FOR SELECT TO flopinio_verifier USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON slack_home TO flopinio_app;
GRANT SELECT ON slack_home TO flopinio_verifier;
