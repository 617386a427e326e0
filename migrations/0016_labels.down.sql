LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
DROP TRIGGER note_labels ON tasks_open;
DROP FUNCTION note_labels;
DROP TABLE task_labels;
ALTER TABLE schedules DROP COLUMN labels;
ALTER TABLE tasks DROP COLUMN labels;
