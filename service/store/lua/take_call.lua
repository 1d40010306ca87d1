-- Take the call that has been due for longest, for a lease. Returns {id, attempt, url, fields of the
-- job}, or false. Calls about jobs that are forgotten, or wait again, are dropped.
local lease = tonumber(ARGV[2])
regardless_of_memory()
while true do
  local id = call('ZRANGEBYSCORE', names.calls, '-inf', ARGV[1], 'LIMIT', 0, 1)[1]
  if not id then return false end
  local job = job_of(id)
  if job.callback_url and not unfinished(job) then
    call('ZADD', names.calls, now + lease, id)
    local attempt = call('HINCRBY', names.job .. id, 'calls', 1)
    return {id, attempt, job.callback_url, call('HGETALL', names.job .. id)}
  end
  call('ZREM', names.calls, id)
end
