-- Calls of one tool by one agent that arrive together share a message in a chat; each has its card
-- there, with its own buttons.
ALTER TABLE card_message ADD COLUMN host uuid; -- the card in whose message it stands; null: its own
ALTER TABLE card_message ADD FOREIGN KEY (organization_id, host) REFERENCES card_message
    ON DELETE SET NULL (host);
CREATE INDEX card_message_host ON card_message (organization_id, host) WHERE host IS NOT NULL;
