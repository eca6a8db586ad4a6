-- Every sealed column, for "key N is missing; 0 rows need it": the factor of a person, why a call was
-- made, what would happen, and an unfinished Slack install were left out.
GRANT SELECT (justification, preview) ON approval TO flopinio_sweep;
GRANT SELECT (totp_secret) ON person TO flopinio_sweep;
GRANT SELECT (secret) ON slack_install TO flopinio_sweep;

GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE OR REPLACE FUNCTION sweep_key_rows(key bigint)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH k AS MATERIALIZED (SELECT decode(lpad(to_hex(key), 8, '0'), 'hex') AS id)
    -- 0: the index key, under which every approval is found again.
    SELECT (SELECT count(*) FROM approval a, k
            WHERE key = 0 OR k.id IN (substr(a.arguments, 2, 4), substr(a.result, 2, 4),
                                      substr(a.justification, 2, 4), substr(a.preview, 2, 4)))
         + (SELECT count(*) FROM channel c, k WHERE substr(c.secret, 2, 4) = k.id)
         + (SELECT count(*) FROM person p, k WHERE substr(p.totp_secret, 2, 4) = k.id)
         + (SELECT count(*) FROM slack_install i, k WHERE substr(i.secret, 2, 4) = k.id) $$;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;
