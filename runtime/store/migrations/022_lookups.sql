-- What every request asks to find out who asks: planned once a connection. PostgreSQL plans the body
-- of an SQL function at each call, which took longer than the call. Columns as before.
CREATE OR REPLACE FUNCTION token_by_hash(hash bytea)
RETURNS TABLE (token_id uuid, person_id uuid, person text, display_name text, scopes text[],
               is_usable boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$ BEGIN RETURN QUERY
    SELECT t.token_id, t.person_id, p.name, p.display_name, t.scopes,
           t.revoked_at IS NULL AND t.expires_at > now() AND p.is_active
    FROM personal_token t JOIN person p ON p.person_id = t.person_id WHERE t.token_hash = hash;
END $$;

CREATE OR REPLACE FUNCTION organization_by_name(wanted text)
RETURNS TABLE (organization_id uuid, name text, title text, policy_version integer, revision bigint,
               created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$ BEGIN RETURN QUERY
    SELECT o.organization_id, o.name, o.title, o.policy_version, o.revision, o.created_at
    FROM organization o WHERE o.name = wanted;
END $$;

CREATE OR REPLACE FUNCTION channel_by_name(org_name text, channel_name text)
RETURNS TABLE (organization_id uuid, channel_id uuid, kind text, is_enabled boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$ BEGIN RETURN QUERY
    SELECT c.organization_id, c.channel_id, c.kind, c.is_enabled
    FROM channel c JOIN organization o ON o.organization_id = c.organization_id
    WHERE o.name = org_name AND c.name = channel_name;
END $$;
