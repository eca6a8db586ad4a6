-- Breaking the glass: one owner approves alone what the rule asks more people about; somebody else
-- reviews it afterwards.
ALTER TABLE approval ADD COLUMN broken_by uuid;
ALTER TABLE approval ADD COLUMN review_due timestamptz;
ALTER TABLE approval ADD COLUMN reviewed_at timestamptz;
ALTER TABLE approval ADD COLUMN reviewed_by text;
CREATE INDEX approval_review ON approval (organization_id, review_due)
    WHERE review_due IS NOT NULL AND reviewed_at IS NULL;
GRANT UPDATE (broken_by, review_due, reviewed_at, reviewed_by) ON approval TO flopinio_app;
