-- A card offers a grant for calls like the one that was approved there; it asks once more before.
ALTER TABLE card_message ADD COLUMN asks_grant boolean NOT NULL DEFAULT false;
-- Every card of that call says then that a grant was made from it.
CREATE TRIGGER outbox_change AFTER INSERT ON call_grant FOR EACH ROW
    EXECUTE FUNCTION outbox_change();
