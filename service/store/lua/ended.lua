-- Returns a whole job that has ended, as `record` does; nothing for one that has not.
local id = ARGV[1]
if unfinished({status = redis.call('HGET', names.job .. id, 'status')}) then return false end
return {redis.call('HMGET', names.job .. id, 'status', 'progress', 'started_at', 'finished_at'),
  redis.call('GET', names.task .. id), redis.call('GET', names.result .. id)}
