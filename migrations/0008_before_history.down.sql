ALTER TABLE tasks DROP COLUMN before_history;
