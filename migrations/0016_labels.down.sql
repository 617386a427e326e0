LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;
DROP TABLE task_labels;
ALTER TABLE schedules DROP COLUMN labels;
ALTER TABLE tasks DROP COLUMN labels;
