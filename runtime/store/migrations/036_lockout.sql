GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup;

-- How an answer ended that was not counted beforehand: 'passed', 'used' (a step of the second factor
-- works once) or 'locked'. Whether somebody is locked out is judged here, behind the answers that came
-- at the same time: what was read before they were looked at is no longer so.
CREATE FUNCTION person_proved(who uuid, step bigint)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
DECLARE
    until timestamptz;
    last_step bigint;
BEGIN
    SELECT locked_until, totp_last_step INTO until, last_step FROM person
        WHERE person_id = who FOR UPDATE;
    IF NOT FOUND OR until > clock_timestamp() THEN
        RETURN 'locked';
    END IF;
    IF step <> 0 AND step <= last_step THEN
        RETURN 'used';
    END IF;
    UPDATE person SET failed_count = 0, locked_until = NULL,
                      totp_last_step = greatest(totp_last_step, step)
        WHERE person_id = who;
    RETURN 'passed';
END $$;

-- A wrong answer; false while locked out, when it changes nothing.
CREATE FUNCTION person_missed(who uuid)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
BEGIN
    UPDATE person SET failed_count = failed_count + 1,
        locked_until = CASE WHEN failed_count + 1 < 5 THEN NULL
            ELSE now() + least(interval '1 hour',
                               interval '30 seconds' * power(2, least(failed_count - 4, 12))) END
        WHERE person_id = who AND coalesce(locked_until <= clock_timestamp(), true);
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION person_proved(uuid, bigint), person_missed(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION person_proved(uuid, bigint), person_missed(uuid) TO flopinio_app;
ALTER FUNCTION person_proved(uuid, bigint) OWNER TO flopinio_lookup;
ALTER FUNCTION person_missed(uuid) OWNER TO flopinio_lookup;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup;
