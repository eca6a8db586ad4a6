-- Canary approvals: calls that nobody made, filed at an unpredictable time like held ones, to see
-- whether who approves reads. People should reject them, and they never run. The arguments are
-- settings, made up by an administrator.
CREATE TABLE canary (
    organization_id uuid NOT NULL REFERENCES organization,
    canary_id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    agent_id uuid NOT NULL,                      -- in whose name it is filed
    tool text NOT NULL,                          -- published name
    arguments text NOT NULL,                     -- JSON
    per_week integer NOT NULL CHECK (per_week BETWEEN 1 AND 20),
    days integer NOT NULL CHECK (days BETWEEN 1 AND 127),         -- bit 0: Monday
    from_minute integer NOT NULL CHECK (from_minute >= 0),        -- of the day, by the zone's clock
    to_minute integer NOT NULL CHECK (to_minute > from_minute AND to_minute <= 1440),
    zone text NOT NULL,
    next_at timestamptz NOT NULL,                -- drawn; told to nobody
    fired_at timestamptz,                        -- the last one that was filed
    note text NOT NULL DEFAULT '',               -- why the last one could not be filed
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    PRIMARY KEY (organization_id, canary_id),
    FOREIGN KEY (organization_id, agent_id) REFERENCES agent
);
CREATE UNIQUE INDEX canary_name ON canary (organization_id, name) WHERE removed_at IS NULL;
CREATE INDEX canary_due ON canary (next_at) WHERE removed_at IS NULL;

ALTER TABLE canary ENABLE ROW LEVEL SECURITY;
ALTER TABLE canary FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON canary TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON canary FOR SELECT TO flopinio_verifier USING (true);
CREATE POLICY sweep ON canary FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT, INSERT, UPDATE ON canary TO flopinio_app;
GRANT SELECT ON canary TO flopinio_verifier;
GRANT SELECT (organization_id, canary_id, next_at, removed_at) ON canary TO flopinio_sweep;

-- Whatever a program does: what was filed for a canary is decided, or its time runs out, and it never
-- comes to where a call is run. The column is written once (no UPDATE of it is granted).
ALTER TABLE approval ADD COLUMN canary_id uuid;
ALTER TABLE approval ADD CONSTRAINT approval_canary
    CHECK (canary_id IS NULL OR state IN ('pending', 'rejected', 'expired', 'cancelled'));
ALTER TABLE approval ADD FOREIGN KEY (organization_id, canary_id) REFERENCES canary;
-- One waits at a time.
CREATE UNIQUE INDEX approval_canary_waits ON approval (organization_id)
    WHERE canary_id IS NOT NULL AND state = 'pending';
CREATE INDEX approval_canaries ON approval (organization_id, canary_id, created_at)
    WHERE canary_id IS NOT NULL;

-- And no call that runs comes of it: no edit of it, no second try, no grant.
CREATE FUNCTION canary_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = flopinio, pg_temp
AS $$
DECLARE
    origins uuid[];
BEGIN
    IF TG_TABLE_NAME = 'approval' THEN
        origins := ARRAY[NEW.edit_of, NEW.retry_of];
    ELSE
        origins := ARRAY[NEW.approval_id];
    END IF;
    IF EXISTS (SELECT 1 FROM approval a WHERE a.organization_id = NEW.organization_id
               AND a.approval_id = ANY (origins) AND a.canary_id IS NOT NULL) THEN
        RAISE EXCEPTION 'no call and no grant comes of a canary'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_canary';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER canary_guard BEFORE INSERT ON approval FOR EACH ROW
    WHEN (NEW.edit_of IS NOT NULL OR NEW.retry_of IS NOT NULL) EXECUTE FUNCTION canary_guard();
CREATE TRIGGER canary_guard BEFORE INSERT ON call_grant FOR EACH ROW
    EXECUTE FUNCTION canary_guard();
REVOKE EXECUTE ON FUNCTION canary_guard() FROM PUBLIC;

GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE FUNCTION sweep_canaries(most integer)
RETURNS TABLE (organization_id uuid, canary_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT c.organization_id, c.canary_id FROM canary c
    WHERE c.removed_at IS NULL AND c.next_at <= now() ORDER BY c.next_at LIMIT most $$;
REVOKE ALL ON FUNCTION sweep_canaries(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_canaries(integer) TO flopinio_app;
ALTER FUNCTION sweep_canaries(integer) OWNER TO flopinio_sweep;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
