-- Mail: one-time links and what signing in with them opens. Runs as flopinio_owner.
-- A link is in one mail to one address; only its digest is here. Looking at its page changes nothing
-- (mail scanners open links); pressing the button there uses it.
CREATE TABLE mail_link (
    organization_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    channel_id uuid NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('review', 'address', 'test')),
    card_id uuid,                                -- of 'review': whose card, for which approval
    person_id uuid,                              -- of 'address': who is to be linked
    place text NOT NULL,                         -- the address that it was mailed to
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (organization_id, token_hash),
    CHECK ((purpose = 'review') = (card_id IS NOT NULL)),
    CHECK ((purpose = 'address') = (person_id IS NOT NULL)),
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE,
    FOREIGN KEY (organization_id, card_id) REFERENCES card_message ON DELETE CASCADE,
    FOREIGN KEY (organization_id, person_id) REFERENCES membership
);
CREATE INDEX mail_link_card ON mail_link (organization_id, card_id);
CREATE INDEX mail_link_old ON mail_link (organization_id, expires_at);

-- A browser that signed in by such a link: for one card, which is one person and one approval.
CREATE TABLE mail_session (
    organization_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    card_id uuid NOT NULL,
    pages integer NOT NULL DEFAULT 0,            -- shown, from the first on without a gap
    is_read boolean NOT NULL DEFAULT false,      -- the last one too
    is_proved boolean NOT NULL DEFAULT false,    -- the passphrase was given, with the second factor
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, token_hash),
    FOREIGN KEY (organization_id, card_id) REFERENCES card_message ON DELETE CASCADE
);
CREATE INDEX mail_session_old ON mail_session (organization_id, expires_at);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['mail_link', 'mail_session']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own ON %I TO flopinio_app USING '
                       '(organization_id = (SELECT org())) WITH CHECK '
                       '(organization_id = (SELECT org()))', t);
        EXECUTE format('CREATE POLICY verify ON %I FOR SELECT TO flopinio_verifier USING (true)',
                       t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO flopinio_app', t);
        EXECUTE format('GRANT SELECT ON %I TO flopinio_verifier', t);
    END LOOP;
END $$;
