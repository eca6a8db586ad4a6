-- A finished card that lost its arguments never shows them again, whatever rewrites it later; who has
-- the least time to decide is told first.
ALTER TABLE outbox ADD COLUMN is_erased boolean NOT NULL DEFAULT false;
ALTER TABLE outbox ADD COLUMN ends_at timestamptz NOT NULL DEFAULT now(); -- the approval's, at intake

CREATE OR REPLACE FUNCTION outbox_ask() RETURNS trigger LANGUAGE plpgsql
SET search_path = flopinio, pg_temp
AS $$ BEGIN
    INSERT INTO outbox (organization_id, approval_id, channel_id, step, next_at, ends_at)
    SELECT NEW.organization_id, NEW.approval_id, c.channel_id, t.step - 1,
           now() + (t.step - 1) * interval '60 seconds', NEW.expires_at
    FROM (SELECT dense_rank() OVER (ORDER BY s.at) AS step, n.name
          FROM jsonb_array_elements(NEW.ask -> 'notify') WITH ORDINALITY AS s (step, at),
               jsonb_array_elements_text(CASE jsonb_typeof(s.step) WHEN 'array' THEN s.step
                                         ELSE jsonb_build_array(s.step) END) AS n (name)
          WHERE n.name <> 'inbox') t
    JOIN channel c ON c.organization_id = NEW.organization_id AND c.name = t.name
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
