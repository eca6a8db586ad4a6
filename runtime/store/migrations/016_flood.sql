-- A flood of cards: what is over a channel's rate is folded into one message in each of its places,
-- the digest, which counts it by agent and tool and is rewritten in place.
ALTER TABLE outbox ADD COLUMN folded_at timestamptz;     -- it has no card of its own, but is counted
ALTER TABLE outbox ADD COLUMN digested_at timestamptz;   -- a digest that counts it was taken
ALTER TABLE outbox ADD COLUMN is_called boolean NOT NULL DEFAULT false;   -- somebody wants its card
CREATE INDEX outbox_untold ON outbox (organization_id, channel_id)
    WHERE delivered_at IS NULL AND done < wanted;
CREATE INDEX outbox_told ON outbox (organization_id, channel_id, delivered_at)
    WHERE delivered_at IS NOT NULL;

CREATE TABLE digest_message (
    organization_id uuid NOT NULL,
    digest_id uuid NOT NULL,                     -- its first bytes are in the buttons
    channel_id uuid NOT NULL,
    place text NOT NULL,
    person_id uuid REFERENCES person,            -- whose own chat it is; null: a group's
    message text,                                -- its id there; null: not known to be posted
    asks_stop uuid,                              -- "stop this agent?" stands on it
    is_stale boolean NOT NULL DEFAULT false,     -- to be written anew at once
    shown bytea,                                 -- digest of what stands there
    PRIMARY KEY (organization_id, digest_id),
    UNIQUE (organization_id, channel_id, place),
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE
);
ALTER TABLE digest_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE digest_message FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON digest_message TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON digest_message FOR SELECT TO flopinio_verifier USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON digest_message TO flopinio_app;
GRANT SELECT ON digest_message TO flopinio_verifier;

-- What failed waits for its time; what was never told has nothing to change; what was folded and is
-- over has nothing to show.
CREATE OR REPLACE FUNCTION outbox_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = flopinio, pg_temp
AS $$ BEGIN
    UPDATE outbox SET wanted = wanted + 1,
        next_at = CASE WHEN tries > 0 OR delivered_at IS NULL THEN next_at ELSE now() END
    WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id;
    IF TG_TABLE_NAME = 'approval' THEN
        IF OLD.state = 'pending' AND NEW.state <> 'pending' THEN
            UPDATE outbox SET done = wanted, folded_at = NULL
            WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id
            AND folded_at IS NOT NULL;
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- Who was counted in a digest was told.
GRANT SELECT (digested_at) ON outbox TO flopinio_sweep;
CREATE OR REPLACE FUNCTION sweep_unreached()
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT count(DISTINCT (o.organization_id, o.approval_id)) FROM outbox o
    JOIN approval a ON a.organization_id = o.organization_id AND a.approval_id = o.approval_id
    WHERE o.delivered_at IS NULL AND o.done < o.wanted
    AND o.created_at <= now() - interval '60 seconds' AND a.state = 'pending' AND NOT EXISTS (
        SELECT 1 FROM outbox d WHERE d.organization_id = o.organization_id
        AND d.approval_id = o.approval_id
        AND (d.delivered_at IS NOT NULL OR d.digested_at IS NOT NULL)) $$;
