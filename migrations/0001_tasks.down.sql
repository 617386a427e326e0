DROP TABLE starts;
DROP TABLE workers;
DROP TABLE tasks;
