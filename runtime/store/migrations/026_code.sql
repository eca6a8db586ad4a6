GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup;

-- A try of somebody's code alone, where a chat vouches for who they are: it counts as a wrong answer
-- until it was found right (person_passed), so that many at one time are no more than a few. No row:
-- too many were wrong.
CREATE FUNCTION person_try(who uuid)
RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    UPDATE person SET failed_count = failed_count + 1,
        locked_until = CASE WHEN failed_count + 1 < 5 THEN NULL
            ELSE now() + least(interval '1 hour',
                               interval '30 seconds' * power(2, least(failed_count - 4, 12))) END
    WHERE person_id = who AND coalesce(locked_until <= now(), true) RETURNING true $$;
REVOKE ALL ON FUNCTION person_try(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION person_try(uuid) TO flopinio_app;
ALTER FUNCTION person_try(uuid) OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup;
