-- Reminders, the ladder's next rungs, and quiet hours: a row of the outbox is looked at again at a
-- time of its own, while its approval waits.
ALTER TABLE outbox ADD COLUMN wake_at timestamptz;
CREATE INDEX outbox_wake ON outbox (organization_id, channel_id, wake_at)
    WHERE wake_at IS NOT NULL;
ALTER TABLE card_message ADD COLUMN reminded integer NOT NULL DEFAULT 0;   -- the last one sent

-- When somebody is not to be disturbed in their own chats.
CREATE TABLE quiet_hours (
    organization_id uuid NOT NULL,
    person_id uuid NOT NULL,
    from_time time NOT NULL,
    to_time time NOT NULL CHECK (to_time <> from_time),
    zone text NOT NULL,                          -- as pg_timezone_names has it
    PRIMARY KEY (organization_id, person_id),
    FOREIGN KEY (organization_id, person_id) REFERENCES membership
);
ALTER TABLE quiet_hours ENABLE ROW LEVEL SECURITY;
ALTER TABLE quiet_hours FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON quiet_hours TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON quiet_hours FOR SELECT TO flopinio_verifier USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON quiet_hours TO flopinio_app;
GRANT SELECT ON quiet_hours TO flopinio_verifier;

-- Milliseconds until these hours end; 0: it is not their time, or the zone is not known any more. A
-- time of day that a change of the clock skips or repeats is as AT TIME ZONE takes it.
CREATE FUNCTION quiet_left(from_time time, to_time time, zone text, at timestamptz)
RETURNS bigint LANGUAGE plpgsql STABLE STRICT SET search_path = flopinio, pg_temp AS $$
DECLARE
    here timestamp;
    today date;
    left_s numeric;
BEGIN
    here := at AT TIME ZONE zone;   -- not in the declaration: that would not be caught below
    today := here::date;
    IF from_time < to_time AND (here::time < from_time OR here::time >= to_time) THEN
        RETURN 0;
    END IF;
    IF from_time > to_time THEN
        IF here::time >= to_time AND here::time < from_time THEN
            RETURN 0;
        END IF;
        today := today + CASE WHEN here::time >= from_time THEN 1 ELSE 0 END;
    END IF;
    left_s := extract(epoch FROM ((today + to_time) AT TIME ZONE zone) - at);
    RETURN greatest(1, left_s * 1000)::bigint;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN 0;
END $$;
REVOKE ALL ON FUNCTION quiet_left(time, time, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION quiet_left(time, time, text, timestamptz) TO flopinio_app;

-- The next rungs are told at half of the time to decide, and at nine tenths of it, when nobody has
-- decided; those that were told are reminded then.
CREATE OR REPLACE FUNCTION outbox_ask() RETURNS trigger LANGUAGE plpgsql
SET search_path = flopinio, pg_temp
AS $$ BEGIN
    INSERT INTO outbox (organization_id, approval_id, channel_id, step, next_at, ends_at,
        wake_at)
    SELECT NEW.organization_id, NEW.approval_id, c.channel_id, t.step - 1,
           now() + (t.step - 1) * interval '60 seconds', NEW.expires_at,
           CASE WHEN NEW.ask -> 'remind' IS DISTINCT FROM 'false' THEN
               now() + (NEW.expires_at - now()) * CASE WHEN t.step <= 2 THEN 0.5 ELSE 0.9 END END
    FROM (SELECT dense_rank() OVER (ORDER BY s.at) AS step, n.name
          FROM jsonb_array_elements(NEW.ask -> 'notify') WITH ORDINALITY AS s (step, at),
               jsonb_array_elements_text(CASE jsonb_typeof(s.step) WHEN 'array' THEN s.step
                                         ELSE jsonb_build_array(s.step) END) AS n (name)
          WHERE n.name <> 'inbox') t
    JOIN channel c ON c.organization_id = NEW.organization_id AND c.name = t.name
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- What failed waits for its time; what was never told has nothing to change; what was folded and is
-- over has nothing to show; nothing reminds of what is decided.
CREATE OR REPLACE FUNCTION outbox_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = flopinio, pg_temp
AS $$ BEGIN
    UPDATE outbox SET wanted = wanted + 1,
        next_at = CASE WHEN tries > 0 OR delivered_at IS NULL THEN next_at ELSE now() END
    WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id;
    IF TG_TABLE_NAME = 'approval' THEN
        IF OLD.state = 'pending' AND NEW.state <> 'pending' THEN
            UPDATE outbox SET done = CASE WHEN folded_at IS NULL THEN done ELSE wanted END,
                folded_at = NULL, wake_at = NULL
            WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id
            AND (folded_at IS NOT NULL OR wake_at IS NOT NULL);
        END IF;
    END IF;
    RETURN NULL;
END $$;
