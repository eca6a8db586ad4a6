-- Which of a worker's channels have something to tell just now: one question for all of them, where
-- each asked for itself at every change of any approval. An SQL function, so that it is planned by what
-- the tables hold now.
CREATE POLICY sweep ON alert_post FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, channel_id, next_at, posted_at) ON alert_post TO flopinio_sweep;
GRANT SELECT (channel_id, next_at) ON outbox TO flopinio_sweep;

GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE FUNCTION sweep_to_tell(organizations uuid[], channels uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT w.channel_id FROM unnest(organizations, channels) AS w (organization_id, channel_id)
    WHERE coalesce(
        (SELECT true FROM outbox o WHERE o.organization_id = w.organization_id
         AND o.channel_id = w.channel_id AND o.done < o.wanted AND o.next_at <= now() LIMIT 1),
        (SELECT true FROM alert_post p WHERE p.organization_id = w.organization_id
         AND p.channel_id = w.channel_id AND p.posted_at IS NULL AND p.next_at <= now() LIMIT 1),
        false) $$;
REVOKE ALL ON FUNCTION sweep_to_tell(uuid[], uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_to_tell(uuid[], uuid[]) TO flopinio_app;
ALTER FUNCTION sweep_to_tell(uuid[], uuid[]) OWNER TO flopinio_sweep;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
