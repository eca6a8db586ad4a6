-- The few functions that cross organizations. flopinio_lookup owns those that find out who
-- somebody is, flopinio_sweep those that find what is due; neither can log in, each sees just the
-- tables and columns granted here. They find; changes are made inside the organization.

GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup, flopinio_sweep;

-- ------------------------------------------------------------------ lookup
CREATE POLICY lookup ON organization FOR SELECT TO flopinio_lookup USING (true);
CREATE POLICY lookup ON membership FOR SELECT TO flopinio_lookup USING (true);
CREATE POLICY lookup ON person TO flopinio_lookup USING (true) WITH CHECK (true);
CREATE POLICY lookup ON personal_token TO flopinio_lookup USING (true) WITH CHECK (true);
CREATE POLICY lookup ON agent FOR SELECT TO flopinio_lookup USING (true);
CREATE POLICY lookup ON agent_credential FOR SELECT TO flopinio_lookup USING (true);
CREATE POLICY lookup ON mcp_session FOR SELECT TO flopinio_lookup USING (true);
GRANT SELECT ON organization, membership TO flopinio_lookup;
GRANT SELECT, INSERT, UPDATE ON person, personal_token TO flopinio_lookup;
GRANT SELECT (organization_id, agent_id, name, owner_id, state) ON agent TO flopinio_lookup;
GRANT SELECT ON agent_credential TO flopinio_lookup;
GRANT SELECT ON mcp_session TO flopinio_lookup;

CREATE FUNCTION organizations()
RETURNS TABLE (organization_id uuid, name text, title text, policy_version integer, revision bigint,
               created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT o.organization_id, o.name, o.title, o.policy_version, o.revision, o.created_at
    FROM organization o ORDER BY o.name $$;

CREATE FUNCTION organizations_changed(since timestamptz)
RETURNS TABLE (organization_id uuid, revision bigint, changed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT o.organization_id, o.revision, o.changed_at
    FROM organization o WHERE o.changed_at >= since ORDER BY o.changed_at $$;

CREATE FUNCTION credential_by_hash(hash bytea)
RETURNS TABLE (organization_id uuid, organization text, revision bigint, credential_id uuid,
               agent_id uuid, agent text, agent_state text, owner_id uuid, owner text,
               owner_is_active boolean, client text, hold_ms bigint, tools text[],
               expires_at timestamptz, is_expired boolean, is_revoked boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT c.organization_id, o.name, o.revision, c.credential_id, a.agent_id, a.name, a.state,
           a.owner_id, p.name, p.is_active AND m.left_at IS NULL, c.client, c.hold_ms, c.tools, c.expires_at,
           coalesce(c.expires_at <= now(), false), c.revoked_at IS NOT NULL
    FROM agent_credential c
    JOIN organization o ON o.organization_id = c.organization_id
    JOIN agent a ON a.organization_id = c.organization_id AND a.agent_id = c.agent_id
    JOIN person p ON p.person_id = a.owner_id
    JOIN membership m ON m.organization_id = a.organization_id AND m.person_id = a.owner_id
    WHERE c.token_hash = hash $$;

CREATE FUNCTION person_by_name(wanted text)
RETURNS TABLE (person_id uuid, name text, display_name text, passphrase_hash text,
               totp_secret bytea, totp_last_step bigint, is_active boolean, is_locked boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT p.person_id, p.name, p.display_name, p.passphrase_hash, p.totp_secret, p.totp_last_step,
           p.is_active, coalesce(p.locked_until > now(), false)
    FROM person p WHERE p.name = wanted $$;

CREATE FUNCTION person_create(new_id uuid, new_name text, new_display text, new_email text)
RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    INSERT INTO person (person_id, name, display_name, email)
    VALUES (new_id, new_name, new_display, new_email)
    ON CONFLICT (name) DO NOTHING RETURNING person_id $$;

CREATE FUNCTION person_describe(who uuid, new_display text, new_email text)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE person SET display_name = coalesce(new_display, display_name),
                      email = coalesce(new_email, email)
    WHERE person_id = who $$;

CREATE FUNCTION person_set_secret(who uuid, new_hash text, new_totp bytea, clears_totp boolean)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE person SET passphrase_hash = coalesce(new_hash, passphrase_hash),
                      totp_secret = CASE WHEN clears_totp THEN NULL
                                         ELSE coalesce(new_totp, totp_secret) END,
                      totp_last_step = CASE WHEN new_totp IS NULL THEN totp_last_step ELSE 0 END,
                      failed_count = 0, locked_until = NULL
    WHERE person_id = who $$;

-- After five wrong answers each further one doubles the wait, up to an hour.
CREATE FUNCTION person_failed(who uuid)
RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE person SET failed_count = failed_count + 1,
        locked_until = CASE WHEN failed_count + 1 < 5 THEN NULL
            ELSE now() + least(interval '1 hour',
                               interval '30 seconds' * power(2, least(failed_count - 4, 12))) END
    WHERE person_id = who RETURNING locked_until IS NOT NULL $$;

-- A TOTP step works once: false when it, or a later one, was used before.
CREATE FUNCTION person_passed(who uuid, step bigint)
RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE person SET failed_count = 0, locked_until = NULL,
                      totp_last_step = greatest(totp_last_step, step)
    WHERE person_id = who AND (step = 0 OR step > totp_last_step) RETURNING true $$;

CREATE FUNCTION person_set_active(who uuid, becomes boolean)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE person SET is_active = becomes WHERE person_id = who $$;

CREATE FUNCTION person_organizations(who uuid)
RETURNS TABLE (organization_id uuid, name text, role text, title text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT o.organization_id, o.name, m.role, o.title
    FROM membership m JOIN organization o ON o.organization_id = m.organization_id
    WHERE m.person_id = who AND m.left_at IS NULL ORDER BY o.name $$;

-- Those of these roles who could sign in there.
CREATE FUNCTION person_count_with_secret(place uuid, roles text[])
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT count(*) FROM membership m JOIN person p ON p.person_id = m.person_id
    WHERE m.organization_id = place AND m.left_at IS NULL AND m.role = ANY (roles)
    AND p.is_active AND p.passphrase_hash IS NOT NULL $$;

CREATE FUNCTION token_create(new_id uuid, who uuid, new_name text, hash bytea, new_scopes text[],
                             new_expires timestamptz)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    INSERT INTO personal_token (token_id, person_id, name, token_hash, scopes, expires_at)
    VALUES (new_id, who, new_name, hash, new_scopes, new_expires) $$;

CREATE FUNCTION token_by_hash(hash bytea)
RETURNS TABLE (token_id uuid, person_id uuid, person text, display_name text, scopes text[],
               is_usable boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT t.token_id, t.person_id, p.name, p.display_name, t.scopes,
           t.revoked_at IS NULL AND t.expires_at > now() AND p.is_active
    FROM personal_token t JOIN person p ON p.person_id = t.person_id WHERE t.token_hash = hash $$;

CREATE FUNCTION token_list(who uuid)
RETURNS TABLE (token_id uuid, name text, scopes text[], expires_at timestamptz,
               is_usable boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT t.token_id, t.name, t.scopes, t.expires_at,
           t.revoked_at IS NULL AND t.expires_at > now()
    FROM personal_token t WHERE t.person_id = who ORDER BY t.created_at $$;

-- `which` NULL: all of them.
CREATE FUNCTION token_revoke(who uuid, which uuid)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH gone AS (UPDATE personal_token SET revoked_at = now()
                  WHERE person_id = who AND (which IS NULL OR token_id = which)
                  AND revoked_at IS NULL RETURNING 1)
    SELECT count(*) FROM gone $$;

CREATE FUNCTION session_by_hash(hash bytea)
RETURNS TABLE (organization_id uuid, credential_id uuid, version text, is_ready boolean,
               facts jsonb, stream_worker uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT s.organization_id, s.credential_id, s.version, s.is_ready, s.facts, s.stream_worker
    FROM mcp_session s WHERE s.session_hash = hash $$;

-- ------------------------------------------------------------------ sweep
CREATE POLICY sweep ON approval FOR SELECT TO flopinio_sweep USING (true);
CREATE POLICY sweep ON stop FOR SELECT TO flopinio_sweep USING (true);
CREATE POLICY sweep ON mcp_session TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, approval_id, state, wait_mode, holder, expires_at, frozen_at,
              changed_at, grace_until, fence, lease_until, decided_at, dispatched_at,
              unknown_after, after_leave, arguments, result)
    ON approval TO flopinio_sweep;
GRANT SELECT (organization_id, stop_id, until, lifted_at) ON stop TO flopinio_sweep;
GRANT SELECT (seen_at), DELETE ON mcp_session TO flopinio_sweep;
CREATE POLICY sweep ON server FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, server_id, is_enabled) ON server TO flopinio_sweep;
GRANT SELECT ON worker TO flopinio_sweep;

-- What time has decided. `what`: expire, release (lease out), cancel (grace over).
CREATE FUNCTION sweep_due(most integer)
RETURNS TABLE (organization_id uuid, approval_id uuid, what text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    (SELECT a.organization_id, a.approval_id, 'expire' FROM approval a
     WHERE a.state IN ('pending', 'approved', 'claimed') AND a.frozen_at IS NULL
     AND a.expires_at <= now() ORDER BY a.expires_at LIMIT most)
    UNION ALL
    (SELECT a.organization_id, a.approval_id, 'release' FROM approval a
     WHERE a.state = 'claimed' AND a.lease_until <= now() AND a.expires_at > now()
     ORDER BY a.lease_until LIMIT most)
    UNION ALL
    (SELECT a.organization_id, a.approval_id, 'cancel' FROM approval a
     WHERE a.grace_until <= now() AND a.state IN ('pending', 'approved') AND a.wait_mode = 'left'
     AND a.frozen_at IS NULL AND a.expires_at > now() ORDER BY a.grace_until LIMIT most) $$;

-- Every dispatched row: the reaper watches each for its whole window on its own clock too.
CREATE FUNCTION sweep_dispatched(most integer)
RETURNS TABLE (organization_id uuid, approval_id uuid, fence bigint, window_ms bigint,
               is_over boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT a.organization_id, a.approval_id, a.fence,
           (extract(epoch FROM a.unknown_after - a.dispatched_at) * 1000)::bigint,
           a.unknown_after <= now()
    FROM approval a WHERE a.state = 'dispatched' ORDER BY a.unknown_after LIMIT most $$;

-- Approved and nobody has to come for it: any worker may run it.
CREATE FUNCTION sweep_ready(most integer)
RETURNS TABLE (organization_id uuid, approval_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT a.organization_id, a.approval_id FROM approval a
    WHERE a.state = 'approved' AND a.wait_mode = 'task' AND a.frozen_at IS NULL
    AND a.expires_at > now() ORDER BY a.decided_at LIMIT most $$;

-- Held by a worker that is gone: nobody waits there any more.
CREATE FUNCTION sweep_orphans(most integer)
RETURNS TABLE (organization_id uuid, approval_id uuid, holder uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT a.organization_id, a.approval_id, a.holder FROM approval a
    WHERE a.wait_mode = 'held'
    AND a.state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown')
    AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.id = a.holder
                    AND w.seen_at > now() - interval '10 seconds')
    LIMIT most $$;

-- The truth behind every wake-up: when did these, which somebody waits for, change last?
CREATE FUNCTION sweep_look(organizations uuid[], approvals uuid[])
RETURNS TABLE (approval_id uuid, changed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT a.approval_id, a.changed_at
    FROM unnest(organizations, approvals) AS w (organization_id, approval_id)
    JOIN approval a ON a.organization_id = w.organization_id AND a.approval_id = w.approval_id $$;

CREATE FUNCTION sweep_stops_over(most integer)
RETURNS TABLE (organization_id uuid, stop_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT s.organization_id, s.stop_id FROM stop s
    WHERE s.lifted_at IS NULL AND s.until <= now() LIMIT most $$;

-- Whom to ask again what they offer.
CREATE FUNCTION sweep_servers()
RETURNS TABLE (organization_id uuid, server_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT s.organization_id, s.server_id FROM server s WHERE s.is_enabled $$;

CREATE FUNCTION sweep_sessions(older interval)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH gone AS (DELETE FROM mcp_session WHERE seen_at < now() - older RETURNING 1)
    SELECT count(*) FROM gone $$;

-- How many values are sealed under a key (sealed values begin with 0x01 and the key's number).
CREATE FUNCTION sweep_key_rows(key bigint)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    -- 0: the index key, under which every approval is found again.
    SELECT count(*) FROM approval a
    WHERE key = 0 OR substr(a.arguments, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex')
    OR substr(a.result, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex') $$;

CREATE FUNCTION sweep_counts()
RETURNS TABLE (state text, how_many bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT a.state, count(*) FROM approval a
    WHERE a.state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown')
    GROUP BY a.state $$;

-- ------------------------------------------------------------------ who owns and who may call
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS name, p.proname FROM pg_proc p
             JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'flopinio'
             AND p.prosecdef AND p.proname <> 'audit_partition'
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO flopinio_app', f.name);
        EXECUTE format('ALTER FUNCTION %s OWNER TO %s', f.name,
                       CASE WHEN f.proname LIKE 'sweep%' THEN 'flopinio_sweep'
                            ELSE 'flopinio_lookup' END);
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup, flopinio_sweep;
