-- Payloads and results are kept as they came: json holds the bytes, where jsonb
-- wrote each number out in full and each object in an order of its own. Nothing is
-- searched in them. docs/adr/0007 has the measurements.
--
-- The table is written anew, and is locked for as long.
ALTER TABLE tasks
    ALTER COLUMN payload TYPE json,
    ALTER COLUMN result TYPE json;
