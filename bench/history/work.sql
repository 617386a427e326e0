-- One batch of 500 tasks: created, started and ended. pgbench reports each statement.
SELECT shape.t1(500) AS ids \gset
SELECT shape.t2(':ids');
SELECT shape.t3(':ids');
