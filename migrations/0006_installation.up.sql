-- Names this installation, so that two of them on one Redis database notice each
-- other. There is one row.
CREATE TABLE installation (
    id  uuid NOT NULL DEFAULT gen_random_uuid(),
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO installation DEFAULT VALUES;
