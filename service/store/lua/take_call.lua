-- Take the call that has been due for longest, for a lease. Returns {id, attempt, url, fields of the
-- job}, or false. Calls about jobs that are forgotten, or wait again, are dropped.
local now, lease = ARGV[1], tonumber(ARGV[2])
regardless_of_memory()
while true do
  local id = redis.call('ZRANGEBYSCORE', names.calls, '-inf', now, 'LIMIT', 0, 1)[1]
  if not id then return false end
  local job = job_fields(id)
  if job.callback_url and not unfinished(job) then
    redis.call('ZADD', names.calls, now + lease, id)
    local attempt = redis.call('HINCRBY', names.job .. id, 'calls', 1)
    return {id, attempt, job.callback_url, redis.call('HGETALL', names.job .. id)}
  end
  redis.call('ZREM', names.calls, id)
end
