-- Is what somebody proved who they are with still so? Held so until the decision that it is read for
-- has committed: what is taken back meanwhile waits, and what was taken back before is seen.
GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup;
CREATE FUNCTION token_holds(who uuid, which uuid)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
BEGIN
    PERFORM 1 FROM personal_token t WHERE t.person_id = who AND t.token_id = which
        AND t.revoked_at IS NULL AND t.expires_at > clock_timestamp() FOR SHARE;
    RETURN FOUND;
END $$;

-- Is it still the passphrase that was proved?
CREATE FUNCTION passphrase_holds(who uuid, proved text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
BEGIN
    PERFORM 1 FROM person p WHERE p.person_id = who AND p.passphrase_hash = proved FOR SHARE;
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION token_holds(uuid, uuid), passphrase_holds(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_holds(uuid, uuid), passphrase_holds(uuid, text) TO flopinio_app;
ALTER FUNCTION token_holds(uuid, uuid) OWNER TO flopinio_lookup;
ALTER FUNCTION passphrase_holds(uuid, text) OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup;
