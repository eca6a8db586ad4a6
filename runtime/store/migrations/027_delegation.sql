-- Out of office: while a person is away another one's votes count where theirs would. Who decides is
-- read from the times, in the deciding transaction and again at dispatch; the rest is for the sweep.
CREATE TABLE delegation (
    organization_id uuid NOT NULL,
    person_id uuid NOT NULL,                     -- who is away
    delegate_id uuid NOT NULL CHECK (delegate_id <> person_id),
    from_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL CHECK (until_at > from_at),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,                        -- before its time
    told integer NOT NULL DEFAULT 0,             -- cards were drawn again: 1 when it was set, 2 when
                                                 -- it began
    PRIMARY KEY (organization_id, person_id),
    FOREIGN KEY (organization_id, person_id) REFERENCES membership,
    FOREIGN KEY (organization_id, delegate_id) REFERENCES membership
);
CREATE INDEX delegation_delegate ON delegation (organization_id, delegate_id);
ALTER TABLE delegation ENABLE ROW LEVEL SECURITY;
ALTER TABLE delegation FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON delegation TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON delegation FOR SELECT TO flopinio_verifier USING (true);
CREATE POLICY sweep ON delegation FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON delegation TO flopinio_app;
GRANT SELECT ON delegation TO flopinio_verifier, flopinio_sweep;

ALTER TABLE vote ADD COLUMN for_people text;     -- names of those whom the voter stood in for

-- Whether somebody is a member who may act.
CREATE POLICY sweep ON membership FOR SELECT TO flopinio_sweep USING (true);
CREATE POLICY sweep ON person FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, person_id, left_at) ON membership TO flopinio_sweep;
GRANT SELECT (person_id, name, is_active) ON person TO flopinio_sweep;

-- Those that began or ended and of which cards and workers have not been told. `ends`: why it is
-- over; null: it is not.
GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE FUNCTION sweep_delegations(most integer)
RETURNS TABLE (organization_id uuid, person_id uuid, person text, delegate text, set_at timestamptz,
               ends text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH seen AS (
        SELECT d.*, p.name AS person, q.name AS delegate,
               CASE WHEN d.ended_at IS NOT NULL THEN 'it was ended'
                    WHEN d.until_at <= now() THEN 'its time is over'
                    WHEN NOT p.is_active OR m.left_at IS NOT NULL
                        THEN p.name || ' is not active here any more'
                    WHEN NOT q.is_active OR n.left_at IS NOT NULL
                        THEN q.name || ' is not active here any more'
               END AS ends
        FROM delegation d
        JOIN person p ON p.person_id = d.person_id
        JOIN person q ON q.person_id = d.delegate_id
        JOIN membership m ON m.organization_id = d.organization_id AND m.person_id = d.person_id
        JOIN membership n ON n.organization_id = d.organization_id AND n.person_id = d.delegate_id)
    SELECT s.organization_id, s.person_id, s.person, s.delegate, s.set_at, s.ends
    FROM seen s
    WHERE s.ends IS NOT NULL OR s.told < CASE WHEN s.from_at <= now() THEN 2 ELSE 1 END
    LIMIT most $$;
REVOKE ALL ON FUNCTION sweep_delegations(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_delegations(integer) TO flopinio_app;
ALTER FUNCTION sweep_delegations(integer) OWNER TO flopinio_sweep;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
