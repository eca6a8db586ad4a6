-- Which taking of the GET stream it is: that it is over may be told again, when another stream of the
-- same worker has the place already. The program before this one tells by the worker alone.
ALTER TABLE mcp_session ADD COLUMN stream_take uuid;
