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
