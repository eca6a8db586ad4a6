-- What owners must hear, whatever a rule's `notify` says: a row for each of them, in the transaction of
-- what happened, and one for each chat account by which they are reached.
CREATE TABLE alert (
    organization_id uuid NOT NULL REFERENCES organization,
    alert_id uuid NOT NULL,
    person_id uuid NOT NULL,                     -- whom it is for
    kind text NOT NULL,
    text text NOT NULL,
    approval_id uuid,                            -- what it is about
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz,
    PRIMARY KEY (organization_id, alert_id, person_id),
    FOREIGN KEY (organization_id, person_id) REFERENCES membership
);
CREATE INDEX alert_person ON alert (organization_id, person_id, created_at);

CREATE TABLE alert_post (
    organization_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    person_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    place text NOT NULL,                         -- their own chat
    next_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    posted_at timestamptz,
    PRIMARY KEY (organization_id, alert_id, person_id, channel_id, place),
    FOREIGN KEY (organization_id, alert_id, person_id) REFERENCES alert ON DELETE CASCADE,
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE
);
CREATE INDEX alert_post_due ON alert_post (organization_id, channel_id, next_at)
    WHERE posted_at IS NULL;

CREATE FUNCTION alert_tell() RETURNS trigger LANGUAGE plpgsql SET search_path = flopinio, pg_temp
AS $$ BEGIN
    INSERT INTO alert_post (organization_id, alert_id, person_id, channel_id, place)
    SELECT NEW.organization_id, NEW.alert_id, NEW.person_id, c.channel_id, i.external_id
    FROM chat_identity i JOIN channel c ON c.organization_id = i.organization_id AND c.kind = i.kind
    WHERE i.organization_id = NEW.organization_id AND i.person_id = NEW.person_id
    AND c.is_enabled;
    RETURN NULL;
END $$;
CREATE TRIGGER alert_tell AFTER INSERT ON alert FOR EACH ROW EXECUTE FUNCTION alert_tell();
REVOKE EXECUTE ON FUNCTION alert_tell() FROM PUBLIC;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['alert', 'alert_post']
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
