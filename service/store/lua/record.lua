-- Returns a whole job, {{status, progress, started_at, finished_at}, task, result}.
local id = ARGV[1]
return {redis.call('HMGET', names.job .. id, 'status', 'progress', 'started_at', 'finished_at'),
  redis.call('GET', names.task .. id), redis.call('GET', names.result .. id)}
