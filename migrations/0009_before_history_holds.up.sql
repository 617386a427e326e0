-- Reads the whole table, and keeps nobody from it.
ALTER TABLE tasks VALIDATE CONSTRAINT tasks_before_history;
