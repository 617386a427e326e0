SET LOCAL lock_timeout = '300ms';
DROP TABLE occurrences, schedules;
