LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;

DROP TABLE starts;
DROP TABLE workers;
DROP TABLE tasks;
