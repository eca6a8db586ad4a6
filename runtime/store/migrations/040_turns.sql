-- What may run now, of each server at most the 128 that were approved first: many whose plugin is slow
-- are not all that anybody hears of. One step over the index for each server that has any; the first of
-- each before the second of any.
CREATE INDEX approval_turn ON approval (organization_id, server_id, decided_at)
    WHERE state = 'approved' AND wait_mode = 'task' AND frozen_at IS NULL;
DROP INDEX approval_ready;
GRANT SELECT (server_id, claimable_at) ON approval TO flopinio_sweep;

GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE FUNCTION sweep_turns(most integer)
RETURNS TABLE (organization_id uuid, server_id uuid, approval_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH RECURSIVE place AS (
        (SELECT a.organization_id, a.server_id FROM approval a
         WHERE a.state = 'approved' AND a.wait_mode = 'task' AND a.frozen_at IS NULL
         ORDER BY a.organization_id, a.server_id LIMIT 1)
        UNION ALL
        SELECT n.organization_id, n.server_id FROM place p CROSS JOIN LATERAL
            (SELECT a.organization_id, a.server_id FROM approval a
             WHERE a.state = 'approved' AND a.wait_mode = 'task' AND a.frozen_at IS NULL
             AND (a.organization_id, a.server_id) > (p.organization_id, p.server_id)
             ORDER BY a.organization_id, a.server_id LIMIT 1) n)
    SELECT r.organization_id, r.server_id, r.approval_id FROM place p CROSS JOIN LATERAL
        (SELECT a.organization_id, a.server_id, a.approval_id, a.decided_at,
                row_number() OVER (ORDER BY a.decided_at) AS turn FROM approval a
         WHERE a.state = 'approved' AND a.wait_mode = 'task' AND a.frozen_at IS NULL
         AND a.organization_id = p.organization_id AND a.server_id = p.server_id
         AND a.expires_at > now() AND (a.claimable_at IS NULL OR a.claimable_at <= now())
         ORDER BY a.decided_at LIMIT 128) r
    ORDER BY r.turn, r.decided_at LIMIT most $$;
REVOKE ALL ON FUNCTION sweep_turns(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_turns(integer) TO flopinio_app;
ALTER FUNCTION sweep_turns(integer) OWNER TO flopinio_sweep;

-- What the program before this one asks.
CREATE OR REPLACE FUNCTION sweep_ready(most integer)
RETURNS TABLE (organization_id uuid, approval_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT t.organization_id, t.approval_id FROM sweep_turns(most) t $$;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
