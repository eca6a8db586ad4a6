-- A mail of a card came back though its address is right: the card counts as not delivered.
ALTER TABLE card_message ADD COLUMN bounced_at timestamptz;

-- Alerts go to no address that is dead.
CREATE OR REPLACE FUNCTION alert_tell() RETURNS trigger LANGUAGE plpgsql
SET search_path = flopinio, pg_temp AS $$ BEGIN
    INSERT INTO alert_post (organization_id, alert_id, person_id, channel_id, place)
    SELECT NEW.organization_id, NEW.alert_id, NEW.person_id, c.channel_id, i.external_id
    FROM chat_identity i JOIN channel c ON c.organization_id = i.organization_id AND c.kind = i.kind
    WHERE i.organization_id = NEW.organization_id AND i.person_id = NEW.person_id
    AND c.is_enabled AND i.dead_at IS NULL;
    RETURN NULL;
END $$;
