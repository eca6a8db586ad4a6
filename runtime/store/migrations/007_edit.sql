-- "Edit and approve": a person changes the arguments of what waits; the changed call is an approval
-- of its own, which its editor does not decide unless the rule says so.
ALTER TABLE approval ADD COLUMN edit_of uuid;     -- the one that it takes the place of
ALTER TABLE approval ADD COLUMN editor_id uuid;   -- who changed the arguments
