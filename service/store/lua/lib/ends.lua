-- The end of a job.

local function finish(id, job, status, outcome)
  stop_waiting(id, job)
  call('ZREM', names.running, id)
  call('ZREM', names.attended, id)
  drop_entry(job.queue, job.entry, id)
  redis.call('HSET', names.job .. id, 'status', status, 'finished_at', ARGV[1])
  redis.call('SET', names.result .. id, outcome, 'PX', math.ceil(1000 * constants.kept_s))
  redis.call('PEXPIRE', names.task .. id, math.ceil(1000 * constants.kept_s))
  redis.call('PEXPIRE', names.job .. id, math.ceil(1000 * constants.remembered_s))
  if job.scope then
    redis.call('PEXPIRE', names.idempotency .. job.scope, math.ceil(1000 * constants.kept_s))
  end
  call('ZADD', names.ended, ARGV[1], id)
  keep_result(id, job, outcome)
  if job.callback_url then call('ZADD', names.calls, ARGV[1], id) end
  expire_surplus()
  redis.call('PUBLISH', names.ends, id)
end

local function cancel(id, job, status, outcome)
  finish(id, job, status, outcome)
  if job.status == 'running' then redis.call('PUBLISH', names.cancelled, id) end
end

-- End a job whose clients have all left; it is forgotten.
local function abandon(id, job)
  if unfinished(job) then cancel(id, job, 'cancelled', constants.cancelled) end
  forget(id)
end
