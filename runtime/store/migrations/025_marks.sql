-- Several calls of one message decided with one press: what is marked until then.
ALTER TABLE card_message ADD COLUMN is_marking boolean NOT NULL DEFAULT false; -- a host's keys mark
ALTER TABLE card_message ADD COLUMN mark text NOT NULL DEFAULT ''
    CHECK (mark IN ('', 'approve', 'reject'));
ALTER TABLE card_message ADD COLUMN is_parted boolean NOT NULL DEFAULT false; -- joins no others again
