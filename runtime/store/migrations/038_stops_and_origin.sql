-- What this step of the schema brings: first what takes long, then, in one short transaction, the rest.
-- Runs as flopinio_owner.

-- next: statements
-- ------------------------------------------------------------------ indexes
-- Built while everybody goes on: the audit's primary keys in the order of time, one month after the
-- other, and the index of approvals that may run. What is small is built where it is used, below; what a
-- kill left half built is built anew.
SELECT s.statement FROM (
    SELECT 1 AS turn, c.relname::text AS name,
        format('DROP INDEX CONCURRENTLY flopinio.%I', c.relname) AS statement
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'flopinio'::regnamespace AND NOT i.indisvalid
    AND (c.relname = 'approval_turn' OR c.relname LIKE 'audit\_event\_%\_order')
    UNION ALL
    SELECT 2, c.relname,
        format('CREATE UNIQUE INDEX CONCURRENTLY %I ON flopinio.%I (organization_id, recorded_at, event_id)',
               c.relname || '_order', c.relname)
    FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
    WHERE h.inhparent = 'flopinio.audit_event'::regclass AND pg_relation_size(c.oid) > 1000000
    AND NOT EXISTS (
        SELECT 1 FROM pg_constraint k WHERE k.conrelid = h.inhparent
        AND pg_get_constraintdef(k.oid) = 'PRIMARY KEY (organization_id, recorded_at, event_id)')
    AND NOT EXISTS (
        SELECT 1 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisvalid AND x.relname = c.relname || '_order')
    UNION ALL
    SELECT 3, '',
        'CREATE INDEX CONCURRENTLY approval_turn ON flopinio.approval (organization_id, server_id, '
        'decided_at) WHERE state = ''approved'' AND wait_mode = ''task'' AND frozen_at IS NULL'
    WHERE pg_relation_size('flopinio.approval') > 1000000
    AND NOT EXISTS (
        SELECT 1 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = 'flopinio.approval'::regclass AND i.indisvalid AND x.relname = 'approval_turn')
) s ORDER BY s.turn, s.name;

-- next: transaction
-- ------------------------------------------------------------------ audit order
-- Lists, pages and counts go by (recorded_at, event_id) of an organization: as the order of the
-- primary key they need no index of their own, and a row of the audit writes one entry less. An
-- event is never looked for by its id alone. With the indexes from above only what they are called
-- changes. The program before this one works with either key.
DO $$
DECLARE
    part text;
BEGIN
    IF EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = 'audit_event'::regclass
               AND pg_get_constraintdef(k.oid) =
                   'PRIMARY KEY (organization_id, recorded_at, event_id)') THEN
        RETURN;
    END IF;
    LOCK TABLE audit_event;
    ALTER TABLE audit_event DROP CONSTRAINT audit_event_pkey;
    DROP INDEX audit_event_time;
    FOR part IN SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                WHERE h.inhparent = 'audit_event'::regclass ORDER BY 1 LOOP
        EXECUTE format('CREATE UNIQUE INDEX IF NOT EXISTS %I ON %I (organization_id, recorded_at, '
                       'event_id)', part || '_order', part);
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I', part,
                       part || '_pkey', part || '_order');
    END LOOP;
    ALTER TABLE audit_event ADD PRIMARY KEY (organization_id, recorded_at, event_id);
END $$;

-- next: transaction
-- ------------------------------------------------------------------ origin
-- Which rows of `organization` a program of ours wrote here, as told from rows that somebody loaded into
-- these tables (pg_restore --data-only, COPY): they have forgotten what was decided and run since. Each
-- row names the transaction that wrote it, which PostgreSQL keeps as its xmin; a copy of the row is
-- written by another one. So nothing may rewrite this table (ALTER TABLE), nor write it within a
-- savepoint.
CREATE TABLE origin (
    organization_id uuid PRIMARY KEY REFERENCES organization ON DELETE CASCADE,
    made xid8 NOT NULL DEFAULT pg_current_xact_id()
);

ALTER TABLE organization NO FORCE ROW LEVEL SECURITY;
INSERT INTO origin (organization_id) SELECT organization_id FROM organization;
ALTER TABLE organization FORCE ROW LEVEL SECURITY;

ALTER TABLE origin ENABLE ROW LEVEL SECURITY;
ALTER TABLE origin FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON origin TO flopinio_app USING (organization_id = (SELECT org()))
    WITH CHECK (organization_id = (SELECT org()));
CREATE POLICY verify ON origin FOR SELECT TO flopinio_verifier USING (true);
CREATE POLICY lookup ON origin FOR SELECT TO flopinio_lookup USING (true);
GRANT SELECT, INSERT, UPDATE ON origin TO flopinio_app;
GRANT SELECT ON origin TO flopinio_verifier, flopinio_lookup;

-- By a trigger, so that a program of the schema before makes them too. Whoever loads rows of several
-- organizations is not held by row security.
CREATE FUNCTION origin_note() RETURNS trigger LANGUAGE plpgsql SET search_path = flopinio, pg_temp
AS $$
BEGIN
    IF row_security_active('organization') THEN
        INSERT INTO origin (organization_id) VALUES (NEW.organization_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER origin_note AFTER INSERT ON organization FOR EACH ROW EXECUTE FUNCTION origin_note();
REVOKE EXECUTE ON FUNCTION origin_note() FROM PUBLIC;

-- The name of one that was loaded, or NULL.
GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup;
CREATE FUNCTION organization_loaded()
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT o.name FROM organization o LEFT JOIN origin g ON g.organization_id = o.organization_id
    WHERE g.made IS NULL OR g.xmin <> g.made::xid LIMIT 1 $$;
REVOKE ALL ON FUNCTION organization_loaded() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organization_loaded() TO flopinio_app;
ALTER FUNCTION organization_loaded() OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup;

-- ------------------------------------------------------------------ evidence
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
    PERFORM 1 FROM person p WHERE p.person_id = who AND p.passphrase_hash = proved AND p.is_active
        FOR SHARE;
    RETURN FOUND;
END $$;

-- Ends the transaction if it is not so; "constraint" says which condition it was.
CREATE FUNCTION must_hold(holds boolean, which text)
RETURNS boolean
LANGUAGE plpgsql SET search_path = flopinio, pg_temp AS $$
BEGIN
    IF holds IS NOT TRUE THEN
        RAISE EXCEPTION 'what it rests on does not hold any more'
            USING ERRCODE = 'check_violation', CONSTRAINT = which;
    END IF;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION token_holds(uuid, uuid), passphrase_holds(uuid, text), must_hold(boolean, text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_holds(uuid, uuid), passphrase_holds(uuid, text), must_hold(boolean, text)
    TO flopinio_app;
ALTER FUNCTION token_holds(uuid, uuid) OWNER TO flopinio_lookup;
ALTER FUNCTION passphrase_holds(uuid, text) OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup;

-- ------------------------------------------------------------------ stream
-- Which taking of the GET stream it is: that it is over may be told again, when another stream of the
-- same worker has the place already. The program before this one tells by the worker alone.
ALTER TABLE mcp_session ADD COLUMN stream_take uuid;

-- ------------------------------------------------------------------ stop batches
-- A stop is one short transaction however many wait: their deadlines are moved behind it, so many at
-- a time. Until that is done they stand still by the stop's own row.
ALTER TABLE stop ADD COLUMN moving text CHECK (moving IN ('freeze', 'thaw'));
ALTER TABLE stop ADD COLUMN moving_since timestamptz; -- a pass that began before may miss something
ALTER TABLE stop ADD COLUMN stands_from timestamptz;  -- freeze: what it covers stands still since
ALTER TABLE stop ADD CHECK (moving IS NULL OR moving_since IS NOT NULL);
ALTER TABLE stop ADD CHECK (moving IS DISTINCT FROM 'freeze' OR stands_from IS NOT NULL);
CREATE INDEX stop_moving ON stop (organization_id) WHERE moving IS NOT NULL;

GRANT SELECT (scope, name, moving, stands_from) ON stop TO flopinio_sweep;
GRANT SELECT (agent_id, owner_id, server_id, tool, created_at) ON approval TO flopinio_sweep;
GRANT SELECT (name) ON server TO flopinio_sweep;
CREATE POLICY sweep ON agent FOR SELECT TO flopinio_sweep USING (true);
CREATE POLICY sweep ON org_group FOR SELECT TO flopinio_sweep USING (true);
CREATE POLICY sweep ON group_member FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, agent_id, name, owner_id) ON agent TO flopinio_sweep;
GRANT SELECT (organization_id, group_id, name) ON org_group TO flopinio_sweep;
GRANT SELECT (organization_id, group_id, person_id) ON group_member TO flopinio_sweep;

GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;

-- Since when does an open approval that is not frozen stand still by a stop whose freezing is under
-- way? Null: it does not. As FL_STOP_FREEZES in runtime/store/sql.h, for statements that lock the
-- approval: PostgreSQL 15 crashes where it looks again at a row that was changed meanwhile and a
-- query within a query within the statement asks for it.
CREATE FUNCTION stop_stands_since(organization uuid, agent uuid, owner uuid, server uuid,
                                  tool_called text, created timestamptz, expires timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = flopinio, pg_temp AS $$ BEGIN
    RETURN (
        SELECT min(greatest(s.stands_from, created)) FROM stop s
        WHERE s.organization_id = organization AND s.moving = 'freeze' AND expires > s.stands_from
        AND (created < least(s.lifted_at, s.until)) IS NOT FALSE
        AND (s.scope = 'org' OR (s.scope = 'tool' AND s.name = tool_called)
             OR (s.scope = 'server' AND EXISTS (
                 SELECT 1 FROM server v WHERE v.organization_id = organization
                 AND v.server_id = stop_stands_since.server AND v.name = s.name))
             OR (s.scope IN ('agent', 'person', 'group') AND EXISTS (
                 SELECT 1 FROM agent g WHERE g.organization_id = organization
                 AND g.agent_id = stop_stands_since.agent
                 AND ((s.scope = 'agent' AND g.name = s.name)
                      OR (s.scope = 'person' AND EXISTS (
                          SELECT 1 FROM person p WHERE p.person_id IN (owner, g.owner_id)
                          AND p.name = s.name))
                      OR (s.scope = 'group' AND EXISTS (
                          SELECT 1 FROM org_group o JOIN group_member m
                          USING (organization_id, group_id) WHERE o.organization_id = organization
                          AND o.name = s.name AND m.person_id IN (owner, g.owner_id))))))));
END $$;
REVOKE ALL ON FUNCTION stop_stands_since(uuid, uuid, uuid, uuid, text, timestamptz, timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION stop_stands_since(uuid, uuid, uuid, uuid, text, timestamptz, timestamptz)
    TO flopinio_app, flopinio_sweep;

-- As before, and nothing that stands still. What stands and is not frozen yet is asked of each row:
-- so where that may be there are only the first few of each organization, beside those of all others.
-- Else one in which many wait would keep up what is due anywhere.
CREATE OR REPLACE FUNCTION sweep_due(most integer)
RETURNS TABLE (organization_id uuid, approval_id uuid, what text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH freezing AS MATERIALIZED (SELECT DISTINCT s.organization_id FROM stop s WHERE s.moving = 'freeze')
    (SELECT a.organization_id, a.approval_id, 'expire' FROM approval a
     WHERE a.state IN ('pending', 'approved', 'claimed') AND a.frozen_at IS NULL
     AND a.expires_at <= now() AND a.organization_id <> ALL (ARRAY(SELECT f.organization_id FROM freezing f))
     ORDER BY a.expires_at LIMIT most)
    UNION ALL
    (SELECT a.organization_id, a.approval_id, 'expire' FROM
        (SELECT w.*, row_number() OVER (PARTITION BY w.organization_id ORDER BY w.expires_at) AS place FROM
            (SELECT n.organization_id, n.approval_id, n.agent_id, n.owner_id, n.server_id, n.tool,
                    n.created_at, n.expires_at FROM approval n
             WHERE n.state IN ('pending', 'approved', 'claimed') AND n.frozen_at IS NULL
             AND n.expires_at <= now()
             AND n.organization_id = ANY (ARRAY(SELECT f.organization_id FROM freezing f))
             ORDER BY n.expires_at LIMIT most::bigint * 10) w) a
     WHERE a.place <= 200 AND stop_stands_since(a.organization_id, a.agent_id, a.owner_id, a.server_id,
                                                a.tool, a.created_at, a.expires_at) IS NULL LIMIT most)
    UNION ALL
    (SELECT a.organization_id, a.approval_id, 'release' FROM approval a
     WHERE a.state = 'claimed' AND a.lease_until <= now() AND a.expires_at > now()
     ORDER BY a.lease_until LIMIT most)
    UNION ALL
    (SELECT a.organization_id, a.approval_id, 'cancel' FROM approval a
     WHERE a.grace_until <= now() AND a.state IN ('pending', 'approved') AND a.wait_mode = 'left'
     AND a.frozen_at IS NULL AND a.expires_at > now()
     AND a.organization_id <> ALL (ARRAY(SELECT f.organization_id FROM freezing f))
     ORDER BY a.grace_until LIMIT most)
    UNION ALL
    (SELECT a.organization_id, a.approval_id, 'cancel' FROM
        (SELECT w.*, row_number() OVER (PARTITION BY w.organization_id ORDER BY w.grace_until) AS place FROM
            (SELECT n.organization_id, n.approval_id, n.agent_id, n.owner_id, n.server_id, n.tool,
                    n.created_at, n.expires_at, n.grace_until FROM approval n
             WHERE n.grace_until <= now() AND n.state IN ('pending', 'approved')
             AND n.wait_mode = 'left' AND n.frozen_at IS NULL AND n.expires_at > now()
             AND n.organization_id = ANY (ARRAY(SELECT f.organization_id FROM freezing f))
             ORDER BY n.grace_until LIMIT most::bigint * 10) w) a
     WHERE a.place <= 200 AND stop_stands_since(a.organization_id, a.agent_id, a.owner_id, a.server_id,
                                                a.tool, a.created_at, a.expires_at) IS NULL LIMIT most) $$;

-- An older program beside this one knows nothing of all that: with each change it freezes and thaws in
-- one statement, by the stops that are in force. It is kept from letting run on what still stands, which
-- would be frozen again, and have its time twice; and what it freezes stood still since the stop was
-- set. What this program does itself is not touched by it.
CREATE FUNCTION stop_keeps() RETURNS trigger LANGUAGE plpgsql SET search_path = flopinio, pg_temp AS $$
DECLARE
    since timestamptz := stop_stands_since(OLD.organization_id, OLD.agent_id, OLD.owner_id,
        OLD.server_id, OLD.tool, OLD.created_at, OLD.expires_at);
BEGIN
    IF NEW.frozen_at IS NOT NULL THEN
        NEW.frozen_at := least(NEW.frozen_at, since);
    ELSIF since IS NOT NULL THEN
        NEW.frozen_at := OLD.frozen_at;
        NEW.expires_at := OLD.expires_at;
        NEW.grace_until := OLD.grace_until;
        NEW.claimable_at := OLD.claimable_at;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_stands BEFORE UPDATE OF frozen_at ON approval FOR EACH ROW
    WHEN (OLD.state IN ('pending', 'approved', 'claimed')
          AND NEW.state IN ('pending', 'approved', 'claimed')
          AND CASE WHEN OLD.frozen_at IS NULL THEN NEW.frozen_at >= now()
                   ELSE NEW.frozen_at IS NULL END)
    EXECUTE FUNCTION stop_keeps();

-- Where nobody moves deadlines any more, as the older program has come back alone, that one thaws what
-- it lifts; and what was left half-way by then must not stand still for ever. Nothing stands by a stop
-- that thaws, and the next program that moves deadlines looks once more.
CREATE FUNCTION stop_ends() RETURNS trigger LANGUAGE plpgsql SET search_path = flopinio, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM lease WHERE name = 'freeze' AND until > now()) THEN
        NEW.moving := 'thaw';
        NEW.moving_since := clock_timestamp();
        UPDATE stop s SET moving = 'thaw', moving_since = clock_timestamp() FROM
            (SELECT stop_id FROM stop WHERE organization_id = NEW.organization_id
             AND stop_id <> NEW.stop_id AND moving = 'freeze' AND lifted_at IS NOT NULL
             ORDER BY stop_id FOR NO KEY UPDATE) k
        WHERE s.organization_id = NEW.organization_id AND s.stop_id = k.stop_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER stop_ends BEFORE UPDATE OF lifted_at ON stop FOR EACH ROW
    WHEN (OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL
          AND NEW.moving_since IS NOT DISTINCT FROM OLD.moving_since)
    EXECUTE FUNCTION stop_ends();
REVOKE EXECUTE ON FUNCTION stop_keeps(), stop_ends() FROM PUBLIC;

-- Stops whose time is up, of the organizations behind that one: of one after the other, as one that
-- cannot be changed now must not keep up those of others.
CREATE INDEX stop_timed ON stop (organization_id, until) WHERE lifted_at IS NULL AND until IS NOT NULL;
CREATE FUNCTION sweep_stops_ended(behind uuid, most integer)
RETURNS TABLE (organization_id uuid, stop_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT s.organization_id, s.stop_id FROM stop s
    WHERE s.lifted_at IS NULL AND s.until <= now() AND s.organization_id > behind
    ORDER BY s.organization_id, s.until LIMIT most $$;
REVOKE ALL ON FUNCTION sweep_stops_ended(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_stops_ended(uuid, integer) TO flopinio_app;
ALTER FUNCTION sweep_stops_ended(uuid, integer) OWNER TO flopinio_sweep;

-- Where deadlines are to be moved.
CREATE FUNCTION sweep_stops_moving(most integer)
RETURNS TABLE (organization_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT DISTINCT s.organization_id FROM stop s WHERE s.moving IS NOT NULL LIMIT most $$;

REVOKE ALL ON FUNCTION sweep_stops_moving(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_stops_moving(integer) TO flopinio_app;
ALTER FUNCTION sweep_stops_moving(integer) OWNER TO flopinio_sweep;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;

-- ------------------------------------------------------------------ absences
-- As before; the first of each organization before the second of any, as those of one that cannot be
-- told now are found again each time.
GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE OR REPLACE FUNCTION sweep_delegations(most integer)
RETURNS TABLE (organization_id uuid, person_id uuid, person text, delegate text, set_at timestamptz,
               ends text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    WITH seen AS (
        SELECT d.*, p.name AS person, q.name AS delegate,
               CASE WHEN d.ended_at IS NOT NULL THEN 'it was ended'
                    WHEN d.until_at <= now() THEN 'its time is over'
                    WHEN d.set_by = p.name AND p.signed_out_at > d.set_at
                        THEN 'the passphrase or second factor of ' || p.name || ' was changed'
                    WHEN NOT p.is_active OR m.left_at IS NOT NULL
                        THEN p.name || ' is not active here any more'
                    WHEN NOT q.is_active OR n.left_at IS NOT NULL
                        THEN q.name || ' is not active here any more'
               END AS ends
        FROM delegation d
        JOIN person p ON p.person_id = d.person_id
        JOIN person q ON q.person_id = d.delegate_id
        JOIN membership m ON m.organization_id = d.organization_id AND m.person_id = d.person_id
        JOIN membership n ON n.organization_id = d.organization_id AND n.person_id = d.delegate_id)
    SELECT s.organization_id, s.person_id, s.person, s.delegate, s.set_at, s.ends
    FROM seen s
    WHERE s.ends IS NOT NULL OR s.told < CASE WHEN s.from_at <= now() THEN 2 ELSE 1 END
    ORDER BY row_number() OVER (PARTITION BY s.organization_id ORDER BY s.set_at), s.set_at
    LIMIT most $$;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;

-- ------------------------------------------------------------------ turns
-- What may run now, of each server at most the 128 that were approved first: many whose plugin is slow
-- are not all that anybody hears of. One step over the index for each server that has any; the first of
-- each before the second of any. Numbered are those that are limited: to number all and limit then would
-- read all. What stands still and is not frozen yet is not looked through to its end.
CREATE INDEX IF NOT EXISTS approval_turn ON approval (organization_id, server_id, decided_at)
    WHERE state = 'approved' AND wait_mode = 'task' AND frozen_at IS NULL;
DROP INDEX approval_ready;
GRANT SELECT (server_id, claimable_at) ON approval TO flopinio_sweep;

GRANT CREATE ON SCHEMA flopinio TO flopinio_sweep;
CREATE FUNCTION sweep_turns(most integer)
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
REVOKE ALL ON FUNCTION sweep_turns(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sweep_turns(integer) TO flopinio_app;
ALTER FUNCTION sweep_turns(integer) OWNER TO flopinio_sweep;

-- What the program before this one asks.
CREATE OR REPLACE FUNCTION sweep_ready(most integer)
RETURNS TABLE (organization_id uuid, approval_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT t.organization_id, t.approval_id FROM sweep_turns(most) t $$;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_sweep;

-- ------------------------------------------------------------------ idempotency keys
-- A key names one call. One that was taken back because its caller had been told that it could not be
-- recorded gives its key up: the same caller asks again.
GRANT UPDATE (idempotency_key) ON approval TO flopinio_app;
