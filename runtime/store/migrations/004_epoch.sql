-- Which life of the database this is: 0 until the first start wrote down, outside of it, which
-- database it is (runtime/store/epoch.h); counted up by each `flopinio recover`.
ALTER TABLE installation ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- `flopinio recover`: nobody gets in by what a backup holds, as it may have been taken away since.
-- `kept`: names of those who may, a JSON list.
GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup;
CREATE FUNCTION people_shut_out(kept jsonb)
RETURNS TABLE (person_id uuid, name text, had_passphrase boolean, tokens bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH who AS (
        SELECT p.person_id, p.name, p.passphrase_hash IS NOT NULL AS had_passphrase
        FROM person p WHERE NOT kept ? p.name AND NOT kept ? 'all' FOR UPDATE),
    revoked AS (
        UPDATE personal_token t SET revoked_at = now() FROM who WHERE t.person_id = who.person_id
        AND t.revoked_at IS NULL AND t.expires_at > now() RETURNING t.person_id),
    cleared AS (
        UPDATE person p SET passphrase_hash = NULL, totp_secret = NULL FROM who
        WHERE p.person_id = who.person_id)
    SELECT who.person_id, who.name, who.had_passphrase,
           (SELECT count(*) FROM revoked r WHERE r.person_id = who.person_id)
    FROM who ORDER BY who.name $$;
REVOKE ALL ON FUNCTION people_shut_out(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION people_shut_out(jsonb) TO flopinio_app;
ALTER FUNCTION people_shut_out(jsonb) OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup;
