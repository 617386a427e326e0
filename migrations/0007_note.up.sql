ALTER TABLE tasks ADD COLUMN note text;
