-- Months of the audit that begin late. Runs as flopinio_owner.

-- Makes the partition of the month that `at` lies in, with the rows of it that were written while it
-- was not there: after more than a month down, or in an old backup, the first row is one. Row
-- security is forced on the owner too; it comes off and on again in this transaction, behind a lock
-- that keeps everybody else out.
CREATE OR REPLACE FUNCTION audit_partition(at timestamptz) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
DECLARE
    start timestamptz := date_trunc('month', at, 'UTC');
    until timestamptz := (start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    part text := 'audit_event_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMM');
    found_rows bigint;
    moved_rows bigint;
BEGIN
    IF to_regclass('flopinio.' || part) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7337002);
    IF to_regclass('flopinio.' || part) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE flopinio.%I (LIKE flopinio.audit_event INCLUDING ALL)', part);
    ALTER TABLE flopinio.audit_event_default NO FORCE ROW LEVEL SECURITY;
    SELECT count(*) INTO found_rows FROM flopinio.audit_event_default
        WHERE recorded_at >= start AND recorded_at < until;
    EXECUTE format('WITH moved AS (DELETE FROM flopinio.audit_event_default WHERE recorded_at >= %L '
                   'AND recorded_at < %L RETURNING *) INSERT INTO flopinio.%I SELECT * FROM moved',
                   start, until, part);
    GET DIAGNOSTICS moved_rows = ROW_COUNT;
    IF moved_rows <> found_rows THEN
        RAISE EXCEPTION '% of % audit rows were moved to %', moved_rows, found_rows, part;
    END IF;
    ALTER TABLE flopinio.audit_event_default FORCE ROW LEVEL SECURITY;
    EXECUTE format('ALTER TABLE flopinio.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE flopinio.%I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY closed ON flopinio.%I USING (false)', part);
    EXECUTE format('ALTER TABLE flopinio.audit_event ATTACH PARTITION flopinio.%I '
                   'FOR VALUES FROM (%L) TO (%L)', part, start, until);
END $$;

-- What lies in no month's partition gets one.
DO $$
DECLARE
    month timestamptz;
    months timestamptz[];
BEGIN
    ALTER TABLE audit_event_default NO FORCE ROW LEVEL SECURITY;
    SELECT array_agg(DISTINCT date_trunc('month', recorded_at, 'UTC')) INTO months
        FROM audit_event_default;
    ALTER TABLE audit_event_default FORCE ROW LEVEL SECURITY;
    FOREACH month IN ARRAY coalesce(months, '{}') LOOP
        PERFORM audit_partition(month);
    END LOOP;
END $$;
