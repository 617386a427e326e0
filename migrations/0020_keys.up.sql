-- Keys of the API. Only the SHA-256 of a key is stored. types are prefixes of the names of task
-- types; without one the key is bound to none.
SET LOCAL lock_timeout = '300ms';
CREATE TABLE keys (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    hint         text NOT NULL,
    scopes       text[] NOT NULL CHECK (scopes <@ '{read,create,change,lease,admin}' AND cardinality(scopes) > 0),
    types        text[] NOT NULL CHECK (array_position(types, '') IS NULL AND array_position(types, NULL) IS NULL),
    made_by      uuid,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
) WITH (fillfactor = 50);

-- Which state of the keys this is. There is one row. It is another value with each change, and not
-- a number that grows: after a failover that lost a change, two states could have the same one.
CREATE TABLE keys_version (
    version uuid NOT NULL,
    one     boolean PRIMARY KEY DEFAULT true CHECK (one)
) WITH (fillfactor = 50);
INSERT INTO keys_version (version) VALUES (gen_random_uuid());

CREATE FUNCTION change_keys_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE keys_version SET version = gen_random_uuid();
    RETURN NULL;
END $$;
-- Whoever changes a key changes the version, by hand too. The last use is no change.
CREATE TRIGGER change_keys_version AFTER INSERT OR DELETE OR
    UPDATE OF id, name, digest, scopes, types, expires_at, revoked_at ON keys
    FOR EACH ROW EXECUTE FUNCTION change_keys_version();

-- What was changed with a key, and what one was refused. The row is there before the change;
-- status is NULL until its answer is known.
CREATE TABLE audit (
    id         uuid PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    key_id     uuid NOT NULL,
    key_name   text NOT NULL,
    method     text NOT NULL,
    route      text NOT NULL,
    object     text NOT NULL,
    request_id text NOT NULL,
    status     integer
);
CREATE INDEX audit_at ON audit (at, id);
