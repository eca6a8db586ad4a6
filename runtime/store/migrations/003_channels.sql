-- Channels, the outbox, posted cards, chat identities. Runs as flopinio_owner.
-- An approval that goes to channels has one outbox row for each of them, written by a trigger in the
-- transaction of its intake and of every change that cards show: no code path can forget it, and many
-- changes are one row to send. Nothing was ever written to the first version's outbox.
DROP TABLE outbox;

CREATE TABLE channel (
    organization_id uuid NOT NULL REFERENCES organization,
    channel_id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,31}$' AND name <> 'inbox'),
    kind text NOT NULL CHECK (kind IN ('telegram', 'slack', 'mail')),
    config jsonb NOT NULL DEFAULT '{}',
    secret bytea,                                -- JSON object, encrypted
    disclose text NOT NULL DEFAULT 'full' CHECK (disclose IN ('full', 'summary')),
    is_enabled boolean NOT NULL DEFAULT true,
    revision bigint NOT NULL DEFAULT 1,          -- grows with every change of the above
    -- how it is; written by its owner
    facts jsonb NOT NULL DEFAULT '{}',           -- what the other side says of itself: the bot's name
    cursor bigint NOT NULL DEFAULT 0,            -- events before it were handled
    failures integer NOT NULL DEFAULT 0,         -- in a row
    paused_until timestamptz,
    trouble text NOT NULL DEFAULT '',
    delivered_at timestamptz,
    tested_at timestamptz,                       -- a test card's button was pressed
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, channel_id),
    UNIQUE (organization_id, name)
);

CREATE TABLE outbox (
    organization_id uuid NOT NULL,
    approval_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    step integer NOT NULL,                       -- in the rule's list; later ones are told if earlier fail
    wanted bigint NOT NULL DEFAULT 1,            -- grows with every change of what cards show
    done bigint NOT NULL DEFAULT 0,              -- the change that all cards show
    next_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    trouble text NOT NULL DEFAULT '',
    delivered_at timestamptz,                    -- the first card was taken
    erase_at timestamptz,                        -- arguments leave the finished cards then
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, approval_id, channel_id),
    FOREIGN KEY (organization_id, approval_id) REFERENCES approval,
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE
);
CREATE INDEX outbox_due ON outbox (organization_id, channel_id, next_at) WHERE done < wanted;
CREATE INDEX outbox_erase ON outbox (organization_id, channel_id, erase_at)
    WHERE erase_at IS NOT NULL;
CREATE INDEX outbox_silent ON outbox (created_at) WHERE delivered_at IS NULL AND done < wanted;

-- Each card that stands somewhere, or is about to: the row is there before the message is sent, so
-- that a button always finds it.
CREATE TABLE card_message (
    organization_id uuid NOT NULL,
    card_id uuid NOT NULL,                       -- in the buttons
    approval_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    place text NOT NULL,                         -- the chat
    person_id uuid REFERENCES person,            -- whose own chat it is; null: a group's
    message text,                                -- its id there; null: not known to be posted
    tries integer NOT NULL DEFAULT 0,            -- sends whose answer was not recorded
    page integer NOT NULL DEFAULT 0,
    is_read boolean NOT NULL DEFAULT false,      -- its last page was shown
    asks_stop boolean NOT NULL DEFAULT false,    -- "stop the agent?" stands on it
    shown bytea,                                 -- digest of what stands there
    posted_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, card_id),
    UNIQUE (organization_id, approval_id, channel_id, place),
    FOREIGN KEY (organization_id, approval_id) REFERENCES approval,
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE
);
CREATE INDEX card_message_channel ON card_message (organization_id, channel_id);

-- Who somebody is in a chat. Linked by a one-time code, never by name or mail.
CREATE TABLE chat_identity (
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    external_id text NOT NULL,                   -- as the chat names them, for good
    person_id uuid NOT NULL,
    display text NOT NULL DEFAULT '',            -- as the chat showed them then
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, kind, external_id),
    FOREIGN KEY (organization_id, person_id) REFERENCES membership
);
CREATE INDEX chat_identity_person ON chat_identity (organization_id, person_id);

CREATE TABLE chat_link (
    organization_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    channel_id uuid NOT NULL,
    person_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (organization_id, code_hash),
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE,
    FOREIGN KEY (organization_id, person_id) REFERENCES membership
);

-- A question that somebody answers by replying to it.
CREATE TABLE chat_prompt (
    organization_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    place text NOT NULL,
    message text NOT NULL,
    external_id text NOT NULL,                   -- who was asked
    card_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, channel_id, place, message),
    FOREIGN KEY (organization_id, channel_id) REFERENCES channel ON DELETE CASCADE,
    FOREIGN KEY (organization_id, card_id) REFERENCES card_message ON DELETE CASCADE
);

-- ------------------------------------------------------------------ what is to be told
-- The steps of `notify` are names, or lists of names that are told together; the inbox needs no
-- telling. A step waits a minute for the one before it.
CREATE FUNCTION outbox_ask() RETURNS trigger LANGUAGE plpgsql SET search_path = flopinio, pg_temp
AS $$ BEGIN
    INSERT INTO outbox (organization_id, approval_id, channel_id, step, next_at)
    SELECT NEW.organization_id, NEW.approval_id, c.channel_id, t.step - 1,
           now() + (t.step - 1) * interval '60 seconds'
    FROM (SELECT dense_rank() OVER (ORDER BY s.at) AS step, n.name
          FROM jsonb_array_elements(NEW.ask -> 'notify') WITH ORDINALITY AS s (step, at),
               jsonb_array_elements_text(CASE jsonb_typeof(s.step) WHEN 'array' THEN s.step
                                         ELSE jsonb_build_array(s.step) END) AS n (name)
          WHERE n.name <> 'inbox') t
    JOIN channel c ON c.organization_id = NEW.organization_id AND c.name = t.name
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_ask AFTER INSERT ON approval FOR EACH ROW
    WHEN (NEW.state = 'pending' AND NEW.ask -> 'notify' <> '["inbox"]')
    EXECUTE FUNCTION outbox_ask();

-- What failed waits for its time; what was never told has nothing to change.
CREATE FUNCTION outbox_change() RETURNS trigger LANGUAGE plpgsql SET search_path = flopinio, pg_temp
AS $$ BEGIN
    UPDATE outbox SET wanted = wanted + 1,
        next_at = CASE WHEN tries > 0 OR delivered_at IS NULL THEN next_at ELSE now() END
    WHERE organization_id = NEW.organization_id AND approval_id = NEW.approval_id;
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_change AFTER UPDATE ON approval FOR EACH ROW
    WHEN ((NEW.state, NEW.wait_mode, NEW.reason, NEW.asked_count, NEW.expires_at, NEW.frozen_at)
          IS DISTINCT FROM
          (OLD.state, OLD.wait_mode, OLD.reason, OLD.asked_count, OLD.expires_at, OLD.frozen_at)
          AND NEW.ask -> 'notify' <> '["inbox"]')
    EXECUTE FUNCTION outbox_change();
CREATE TRIGGER outbox_change AFTER INSERT OR UPDATE ON vote FOR EACH ROW
    EXECUTE FUNCTION outbox_change();
REVOKE EXECUTE ON FUNCTION outbox_ask(), outbox_change() FROM PUBLIC;

-- ------------------------------------------------------------------ row security and rights
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['channel', 'outbox', 'card_message', 'chat_identity', 'chat_link',
        'chat_prompt']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY own ON %I TO flopinio_app USING '
                       '(organization_id = (SELECT org())) WITH CHECK '
                       '(organization_id = (SELECT org()))', t);
        EXECUTE format('CREATE POLICY verify ON %I FOR SELECT TO flopinio_verifier USING (true)',
                       t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO flopinio_app', t);
        EXECUTE format('GRANT SELECT ON %I TO flopinio_verifier', t);
    END LOOP;
END $$;

-- ------------------------------------------------------------------ across organizations
GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup, flopinio_sweep;
CREATE POLICY lookup ON channel FOR SELECT TO flopinio_lookup USING (true);
GRANT SELECT (organization_id, channel_id, name, kind, is_enabled) ON channel TO flopinio_lookup;
CREATE POLICY sweep ON channel FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, channel_id, name, kind, is_enabled, revision, secret) ON channel
    TO flopinio_sweep;
CREATE POLICY sweep ON outbox FOR SELECT TO flopinio_sweep USING (true);
GRANT SELECT (organization_id, approval_id, created_at, delivered_at, done, wanted) ON outbox
    TO flopinio_sweep;
GRANT SELECT ON lease TO flopinio_sweep;

-- The address of a channel's events: organization and name.
CREATE FUNCTION channel_by_name(org_name text, channel_name text)
RETURNS TABLE (organization_id uuid, channel_id uuid, kind text, is_enabled boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT c.organization_id, c.channel_id, c.kind, c.is_enabled
    FROM channel c JOIN organization o ON o.organization_id = c.organization_id
    WHERE o.name = org_name AND c.name = channel_name $$;

-- Those that nobody else looks after now.
CREATE FUNCTION sweep_channels(me uuid)
RETURNS TABLE (organization_id uuid, channel_id uuid, revision bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT c.organization_id, c.channel_id, c.revision FROM channel c
    WHERE c.is_enabled AND NOT EXISTS (
        SELECT 1 FROM lease l WHERE l.name = 'channel ' || c.channel_id AND l.owner <> me
        AND l.until > now())
    ORDER BY c.channel_id $$;

-- People were to be told for a minute, and no channel took it.
CREATE FUNCTION sweep_unreached()
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    SELECT count(DISTINCT (o.organization_id, o.approval_id)) FROM outbox o
    JOIN approval a ON a.organization_id = o.organization_id AND a.approval_id = o.approval_id
    WHERE o.delivered_at IS NULL AND o.done < o.wanted
    AND o.created_at <= now() - interval '60 seconds' AND a.state = 'pending' AND NOT EXISTS (
        SELECT 1 FROM outbox d WHERE d.organization_id = o.organization_id
        AND d.approval_id = o.approval_id AND d.delivered_at IS NOT NULL) $$;

CREATE OR REPLACE FUNCTION sweep_key_rows(key bigint)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = flopinio, pg_temp AS $$
    -- 0: the index key, under which every approval is found again.
    SELECT (SELECT count(*) FROM approval a
            WHERE key = 0 OR substr(a.arguments, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex')
            OR substr(a.result, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex'))
         + (SELECT count(*) FROM channel c
            WHERE substr(c.secret, 2, 4) = decode(lpad(to_hex(key), 8, '0'), 'hex')) $$;

REVOKE ALL ON FUNCTION channel_by_name(text, text), sweep_channels(uuid), sweep_unreached()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION channel_by_name(text, text), sweep_channels(uuid), sweep_unreached()
    TO flopinio_app;
ALTER FUNCTION channel_by_name(text, text) OWNER TO flopinio_lookup;
ALTER FUNCTION sweep_channels(uuid) OWNER TO flopinio_sweep;
ALTER FUNCTION sweep_unreached() OWNER TO flopinio_sweep;
REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup, flopinio_sweep;
