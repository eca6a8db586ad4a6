-- What an intake costs. Runs as flopinio_owner.

-- An approval's agent is one of its organization, and cannot be without it.
ALTER TABLE approval DROP CONSTRAINT approval_organization_id_fkey;

-- An agent's calls that are under way: how many wait, and whether one is like a new one.
CREATE INDEX approval_asked ON approval (organization_id, agent_id, fingerprint, state)
    WHERE state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown');
DROP INDEX approval_pending;

-- Those that are over, and may still answer a call like them: their outcome was not had, a person
-- refused them or changed their arguments. By columns alone: what a function made of them would not be
-- looked up behind row security.
CREATE INDEX approval_owed ON approval (organization_id, agent_id, fingerprint, settled_at)
    WHERE state IN ('succeeded', 'failed') AND delivered_at IS NULL;
CREATE INDEX approval_refused ON approval (organization_id, agent_id, fingerprint, decided_at)
    WHERE state = 'rejected';
CREATE INDEX approval_edited ON approval (organization_id, agent_id, fingerprint)
    WHERE edited_to IS NOT NULL;
CREATE INDEX approval_retry ON approval (organization_id, retry_of) WHERE retry_of IS NOT NULL;

-- The newest of an agent's approvals that answers a call like it, by its fingerprint: one that goes
-- on and nobody waits for, or whose outcome nobody has had, or that a person refused a short time
-- ago; one that a person changed by what came of that in the end, by another change or by running it
-- again. It is asked only when there is
-- one that might, so that other intakes have nothing of it in their plan.
-- "flopinio-": the name of a worker's connections (runtime/store/sql.h).
CREATE FUNCTION approval_repeated(place uuid, agent uuid, print bytea, definition bytea,
                                  policy bigint)
RETURNS uuid LANGUAGE plpgsql STABLE SET search_path = flopinio, pg_temp AS $$ BEGIN RETURN (
    WITH RECURSIVE like_it (approval_id, edited_to) AS (
        SELECT e.approval_id, NULL::uuid FROM approval e
        WHERE e.organization_id = place AND e.agent_id = agent AND e.fingerprint = print
        AND e.state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown')
        UNION ALL
        SELECT e.approval_id, NULL FROM approval e
        WHERE e.organization_id = place AND e.agent_id = agent AND e.fingerprint = print
        AND e.state IN ('succeeded', 'failed') AND e.delivered_at IS NULL
        AND e.settled_at > now() - interval '24 hours'
        UNION ALL
        SELECT e.approval_id, NULL FROM approval e
        WHERE e.organization_id = place AND e.agent_id = agent AND e.fingerprint = print
        AND e.state = 'rejected' AND e.decided_at > now() - interval '15 minutes'
        AND e.edited_to IS NULL
        UNION ALL
        SELECT e.approval_id, e.edited_to FROM approval e
        WHERE e.organization_id = place AND e.agent_id = agent AND e.fingerprint = print
        AND e.edited_to IS NOT NULL),
    goes_on AS (
        SELECT l.approval_id AS first_id, l.approval_id AS id, l.edited_to AS next_id FROM like_it l
        UNION ALL
        SELECT g.first_id, n.approval_id, n.next_id FROM goes_on g CROSS JOIN LATERAL (
            SELECT c.approval_id, coalesce(c.edited_to, (
                SELECT r.approval_id FROM approval r WHERE r.organization_id = place
                AND r.retry_of = c.approval_id LIMIT 1)) AS next_id FROM approval c
            WHERE c.organization_id = place AND c.approval_id = g.next_id LIMIT 1) n)
    SELECT e.approval_id
    FROM goes_on g
    CROSS JOIN LATERAL (
        SELECT f.approval_id, f.created_at, f.may_ask_again,
               f.state = 'rejected' AND NOT f.may_ask_again
               AND f.decided_at > now() - interval '15 minutes'
               AND f.definition_digest = definition AND f.policy_version = policy AS is_refused
        FROM approval f WHERE f.organization_id = place AND f.approval_id = g.first_id LIMIT 1) e
    CROSS JOIN LATERAL (
        SELECT l.approval_id, l.state, l.wait_mode, l.may_ask_again, l.definition_digest,
               l.policy_version, l.created_at, l.decided_at, l.settled_at, l.delivered_at,
               l.state IN ('succeeded', 'failed') AS has_run,
               l.wait_mode = 'left' OR l.retry_of IS NOT NULL
               OR (l.wait_mode = 'held' AND NOT EXISTS (  -- the worker that held it is dead
                   SELECT 1 FROM worker h WHERE h.id = l.holder
                   AND h.seen_at > now() - interval '10 seconds'
                   AND (current_setting('application_name') NOT LIKE 'flopinio-%' OR EXISTS (
                       SELECT 1 FROM pg_stat_activity sa
                       WHERE sa.application_name = 'flopinio-' || h.id)))) AS is_unclaimed
        FROM approval l WHERE l.organization_id = place AND l.approval_id = g.id LIMIT 1) n
    WHERE g.next_id IS NULL AND (g.id = g.first_id OR NOT e.may_ask_again) AND (
        -- it goes on
        (n.state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown')
         AND n.is_unclaimed)
        -- nobody came for its outcome: for a task three times as long as its client waits between
        -- two looks (mcp/tasks.c); and "it did not happen, run it again" was not said of it
        OR (n.has_run AND n.delivered_at IS NULL AND n.settled_at > now() - interval '24 hours'
            AND (SELECT r.approval_id FROM approval r WHERE r.organization_id = place
                 AND r.retry_of = n.approval_id LIMIT 1) IS NULL
            AND (n.is_unclaimed OR n.settled_at < now() - CASE
                WHEN n.wait_mode <> 'task' THEN interval '5 seconds'
                WHEN n.created_at > now() - interval '2 minutes' THEN interval '6 seconds'
                WHEN n.created_at > now() - interval '10 minutes' THEN interval '15 seconds'
                ELSE interval '45 seconds' END))
        -- a person said no, and it holds
        OR (n.state = 'rejected' AND NOT n.may_ask_again
            AND n.decided_at > now() - interval '15 minutes'
            AND n.definition_digest = definition AND n.policy_version = policy)
        -- once what it was changed to has run, its arguments as they were stay refused
        OR (g.id <> g.first_id AND n.has_run AND e.is_refused))
    ORDER BY e.created_at DESC LIMIT 1);
END $$;

-- Asked only where a stop of a group stands.
CREATE FUNCTION person_in_group(person_name text, group_name text)
RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = flopinio, pg_temp AS $$ BEGIN
    RETURN EXISTS (
        SELECT 1 FROM org_group g JOIN group_member m USING (organization_id, group_id)
        JOIN person p ON p.person_id = m.person_id
        WHERE g.organization_id = (SELECT org()) AND g.name = group_name AND p.name = person_name);
END $$;

REVOKE ALL ON FUNCTION approval_repeated(uuid, uuid, bytea, bytea, bigint),
    person_in_group(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION approval_repeated(uuid, uuid, bytea, bytea, bigint),
    person_in_group(text, text) TO flopinio_app;
