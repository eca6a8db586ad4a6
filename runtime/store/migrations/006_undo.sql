-- A rule's `undo`: between the deciding approval and the claim somebody may take theirs back.
ALTER TABLE approval ADD COLUMN claimable_at timestamptz;   -- not claimed before
GRANT UPDATE (claimable_at) ON approval TO flopinio_app;
