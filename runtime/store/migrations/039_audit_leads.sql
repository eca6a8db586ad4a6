-- Which rows of the audit the index by actor has: the first of an actor in each transaction. Runs as
-- flopinio_owner.

-- Rows of one statement that are alike but for their ids and leaves, as the reads of agents are: the
-- first of each organization and actor leads the others of it. It names their ids; they say that they
-- have one. A program of the schema before writes rows that lead nobody.
ALTER TABLE audit_event ADD COLUMN IF NOT EXISTS has_lead boolean, ADD COLUMN IF NOT EXISTS led uuid[];

-- next: statements
-- Built while everybody goes on, one month after the other; what is small, below. What a kill left half
-- built is built anew.
SELECT s.statement FROM (
    SELECT 1 AS turn, c.relname::text AS name,
        format('DROP INDEX CONCURRENTLY flopinio.%I', c.relname) AS statement
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'flopinio'::regnamespace AND NOT i.indisvalid
    AND c.relname LIKE 'audit\_event\_%\_lead'
    UNION ALL
    SELECT 2, c.relname,
        format('CREATE INDEX CONCURRENTLY %I ON flopinio.%I (organization_id, actor_id, recorded_at) '
               'WHERE actor_id IS NOT NULL AND has_lead IS NOT TRUE', c.relname || '_lead', c.relname)
    FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
    WHERE h.inhparent = 'flopinio.audit_event'::regclass AND pg_relation_size(c.oid) > 1000000
    AND NOT EXISTS (
        SELECT 1 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisvalid AND x.relname = c.relname || '_lead')
) s ORDER BY s.turn, s.name;

-- next: transaction
-- Takes over what was built above. A program of the schema before finds the rows of an actor without it,
-- by the organization's.
CREATE INDEX audit_event_lead ON audit_event (organization_id, actor_id, recorded_at)
    WHERE actor_id IS NOT NULL AND has_lead IS NOT TRUE;
DROP INDEX audit_event_actor;

-- Nothing asks for times over all organizations: a month is a partition, and one organization's times are
-- in its key.
DROP INDEX audit_event_brin;
