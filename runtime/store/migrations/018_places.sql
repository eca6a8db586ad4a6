-- Places that cards do not go to any more, and chat accounts that decide nothing, until that is over.
CREATE TABLE closed_place (
    organization_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    place text NOT NULL,
    why text NOT NULL,                           -- "it is shared with another organization"
    closed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, channel_id, place),
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE
);
ALTER TABLE closed_place ENABLE ROW LEVEL SECURITY;
ALTER TABLE closed_place FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON closed_place TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON closed_place FOR SELECT TO flopinio_verifier USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON closed_place TO flopinio_app;
GRANT SELECT ON closed_place TO flopinio_verifier;

ALTER TABLE chat_identity ADD COLUMN disabled_at timestamptz;  -- the chat says: gone, or a guest
