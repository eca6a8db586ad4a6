-- The call whose arguments a person changed goes on in the changed one: whoever waits for the old
-- approval, by its id, its task or its request, finds the new one.
ALTER TABLE approval ADD COLUMN edited_to uuid;
GRANT UPDATE (edited_to, task_id, mcp_session, mcp_request, mcp_stream, break_cancels) ON approval
    TO flopinio_app;
