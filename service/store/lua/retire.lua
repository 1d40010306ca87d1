-- Withdraw the announcement of a worker.
redis.call('DEL', names.worker .. ARGV[2])
call('ZREM', names.workers, ARGV[2])
