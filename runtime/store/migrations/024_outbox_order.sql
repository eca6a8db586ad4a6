-- A change of an approval locks the outbox rows of its channels in their order, as everybody does
-- (IN_ORDER of sql.h): it took them as it found them, and whoever came from the other side waited
-- for it while it waited for them, until PostgreSQL ended one.
CREATE OR REPLACE FUNCTION outbox_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = flopinio, pg_temp
AS $$ BEGIN
    PERFORM 1 FROM outbox
    WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id
    ORDER BY channel_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE outbox SET wanted = wanted + 1,
        next_at = CASE WHEN tries > 0 OR delivered_at IS NULL THEN next_at ELSE now() END
    WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id;
    IF TG_TABLE_NAME = 'approval' THEN
        IF OLD.state = 'pending' AND NEW.state <> 'pending' THEN
            UPDATE outbox SET done = CASE WHEN folded_at IS NULL THEN done ELSE wanted END,
                folded_at = NULL, wake_at = NULL
            WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id
            AND (folded_at IS NOT NULL OR wake_at IS NOT NULL);
        END IF;
    END IF;
    RETURN NULL;
END $$;
