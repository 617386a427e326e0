SET LOCAL lock_timeout = '300ms';
DROP TABLE operations;
