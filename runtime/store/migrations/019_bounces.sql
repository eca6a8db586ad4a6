-- Mail came back from there for good: nothing is sent there until the address is linked anew.
ALTER TABLE chat_identity
    ADD COLUMN dead_at timestamptz,
    ADD COLUMN dead_why text NOT NULL DEFAULT '';
