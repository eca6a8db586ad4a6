-- What has to stay fast with many organizations and a million approvals that wait.

-- The few that are under way: found and counted without those that wait.
CREATE INDEX approval_moving ON approval (organization_id, created_at, state)
    WHERE state IN ('approved', 'claimed', 'dispatched', 'unknown');

GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup, flopinio_sweep;

-- Two counts, each by an index alone (approval_pending, approval_moving).
CREATE OR REPLACE FUNCTION sweep_counts()
RETURNS TABLE (state text, how_many bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT 'pending'::text, count(*) FROM approval a WHERE a.state = 'pending'
    UNION ALL
    SELECT a.state, count(*) FROM approval a
    WHERE a.state IN ('approved', 'claimed', 'dispatched', 'unknown') GROUP BY a.state $$;

CREATE FUNCTION organization_by_name(wanted text)
RETURNS TABLE (organization_id uuid, name text, title text, policy_version integer, revision bigint,
               created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT o.organization_id, o.name, o.title, o.policy_version, o.revision, o.created_at
    FROM organization o WHERE o.name = wanted $$;

REVOKE ALL ON FUNCTION organization_by_name(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organization_by_name(text) TO flopinio_app;
ALTER FUNCTION organization_by_name(text) OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup, flopinio_sweep;
