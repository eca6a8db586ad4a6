-- Copies of a card that was sent more than once are looked for around the first attempt. What an app
-- that nobody took left behind is swept, and counted with what is sealed under a key.
ALTER TABLE card_message ADD COLUMN sent_at timestamptz;   -- the first send whose answer was not recorded

GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE POLICY sweep ON slack_install TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, install_id, secret, expires_at), UPDATE (secret), DELETE ON slack_install
    TO flopinio_sweep;

-- An exchange that is going on is not disturbed: it ends within a minute.
CREATE FUNCTION sweep_installs()
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH gone AS (DELETE FROM slack_install WHERE expires_at < now() - interval '1 day'),
    void AS (UPDATE slack_install SET secret = ''
             WHERE expires_at BETWEEN now() - interval '1 day' AND now() - interval '1 minute'
             AND secret <> '' RETURNING 1)
    SELECT count(*) FROM void $$;

CREATE OR REPLACE FUNCTION sweep_key_rows(key bigint)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    -- 0: the index key, under which every approval is found again.
    SELECT (SELECT count(*) FROM approval a
            WHERE key = 0 OR substr(a.arguments, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex')
            OR substr(a.result, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex'))
         + (SELECT count(*) FROM channel c
            WHERE substr(c.secret, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex'))
         + (SELECT count(*) FROM slack_install i
            WHERE substr(i.secret, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex')) $$;

REVOKE ALL ON FUNCTION sweep_installs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_installs() TO flopinio_app;
ALTER FUNCTION sweep_installs() OWNER TO flopinio_sweep;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
