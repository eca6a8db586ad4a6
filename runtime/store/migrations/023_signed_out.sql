-- Whoever changes their passphrase signs out everywhere: what was opened before that, in any
-- organization (a review page, a link of a mail, a code that links a chat account), opens nothing.
ALTER TABLE person ADD COLUMN signed_out_at timestamptz;
GRANT SELECT (signed_out_at) ON person TO flopinio_app;
ALTER TABLE chat_link ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

CREATE OR REPLACE FUNCTION person_set_secret(who uuid, new_hash text, new_totp bytea,
                                             clears_totp boolean)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE person SET passphrase_hash = coalesce(new_hash, passphrase_hash),
                      totp_secret = CASE WHEN clears_totp THEN NULL
                                         ELSE coalesce(new_totp, totp_secret) END,
                      totp_last_step = CASE WHEN new_totp IS NULL THEN totp_last_step ELSE 0 END,
                      failed_count = 0, locked_until = NULL,
                      signed_out_at = CASE WHEN new_hash IS NOT NULL OR clears_totp
                                           THEN clock_timestamp() ELSE signed_out_at END
    WHERE person_id = who $$;
