-- As before, but of each server no more are read than are told: numbering those that are limited, not
-- limiting those that are numbered.
GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE OR REPLACE FUNCTION sweep_turns(most integer)
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
             ORDER BY a.organization_id, a.server_id LIMIT 1) n),
    first AS (
        SELECT r.* FROM place p CROSS JOIN LATERAL
            (SELECT a.organization_id, a.server_id, a.approval_id, a.decided_at FROM approval a
             WHERE a.state = 'approved' AND a.wait_mode = 'task' AND a.frozen_at IS NULL
             AND a.organization_id = p.organization_id AND a.server_id = p.server_id
             AND a.expires_at > now() AND (a.claimable_at IS NULL OR a.claimable_at <= now())
             AND CASE WHEN EXISTS (SELECT 1 FROM stop s WHERE s.organization_id = a.organization_id
                                   AND s.moving = 'freeze')
                      THEN stop_stands_since(a.organization_id, a.agent_id, a.owner_id, a.server_id,
                                             a.tool, a.created_at, a.expires_at) IS NULL
                      ELSE true END
             ORDER BY a.decided_at LIMIT 128) r)
    SELECT f.organization_id, f.server_id, f.approval_id FROM first f
    ORDER BY row_number() OVER (PARTITION BY f.organization_id, f.server_id ORDER BY f.decided_at),
             f.decided_at LIMIT most $$;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
