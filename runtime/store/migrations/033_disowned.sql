-- An absence that its person set themselves is over when they sign out everywhere (a new passphrase,
-- a second factor taken away): whoever had the old passphrase may have set it. Who decides is read so
-- everywhere (DISOWNED in runtime/store/sql.h); here the sweep notes it and has cards drawn again.
GRANT SELECT (signed_out_at) ON person TO flopinio_sweep;
CREATE OR REPLACE FUNCTION sweep_delegations(most integer)
RETURNS TABLE (organization_id uuid, person_id uuid, person text, delegate text, set_at timestamptz,
               ends text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH seen AS (
        SELECT d.*, p.name AS person, q.name AS delegate,
               CASE WHEN d.ended_at IS NOT NULL THEN 'it was ended'
                    WHEN d.until_at <= now() THEN 'its time is over'
                    WHEN d.set_by = p.name AND p.signed_out_at > d.set_at
                        THEN 'the passphrase or second factor of ' || p.name || ' was changed'
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
