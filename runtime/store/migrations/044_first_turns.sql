-- As before, but of each server no more are read than are told: numbering those that are limited, not
-- limiting those that are numbered. Nor is all looked through that stands still and is not frozen yet.
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
            (SELECT a.organization_id, a.server_id, a.approval_id, a.decided_at FROM
                (SELECT w.organization_id, w.server_id, w.approval_id, w.decided_at, w.agent_id,
                        w.owner_id, w.tool, w.created_at, w.expires_at FROM approval w
                 WHERE w.state = 'approved' AND w.wait_mode = 'task' AND w.frozen_at IS NULL
                 AND w.organization_id = p.organization_id AND w.server_id = p.server_id
                 AND w.expires_at > now() AND (w.claimable_at IS NULL OR w.claimable_at <= now())
                 ORDER BY w.decided_at LIMIT 512) a
             WHERE CASE WHEN EXISTS (SELECT 1 FROM stop s WHERE s.organization_id = a.organization_id
                                   AND s.moving = 'freeze')
                      THEN stop_stands_since(a.organization_id, a.agent_id, a.owner_id, a.server_id,
                                             a.tool, a.created_at, a.expires_at) IS NULL
                      ELSE true END
             ORDER BY a.decided_at LIMIT 128) r)
    SELECT f.organization_id, f.server_id, f.approval_id FROM first f
    ORDER BY row_number() OVER (PARTITION BY f.organization_id, f.server_id ORDER BY f.decided_at),
             f.decided_at LIMIT most $$;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
