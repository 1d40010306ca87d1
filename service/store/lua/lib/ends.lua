-- The end of a job.

-- A job that is waited for stays attended until its last client has left: then it is forgotten, and
-- so its result is not counted among those that are kept.
local function finish(id, job, status, outcome)
  local runs = job.status == 'running'
  if runs then call('ZREM', names.running, id) else stop_waiting(id, job) end
  drop_entry(job.queue, job.entry, not runs and id)
  redis.call('HSET', names.job .. id, 'status', status, 'finished_at', ARGV[1])
  redis.call('SET', names.result .. id, outcome, 'PX', math.ceil(1000 * constants.kept_s))
  if not is_passing(job) then
    redis.call('PEXPIRE', names.task .. id, math.ceil(1000 * constants.kept_s))
    redis.call('PEXPIRE', names.job .. id, math.ceil(1000 * constants.remembered_s))
    call('ZREM', names.attended, id)
    if job.scope then
      redis.call('PEXPIRE', names.idempotency .. job.scope, math.ceil(1000 * constants.kept_s))
    end
    call('ZADD', names.ended, ARGV[1], id)
    keep_result(id, job, outcome)
  end
  if job.callback_url then call('ZADD', names.calls, ARGV[1], id) end
  redis.call('PUBLISH', names.ends, id)
end

local function cancel(id, job, status, outcome)
  finish(id, job, status, outcome)
  if job.status == 'running' then redis.call('PUBLISH', names.cancelled, id) end
end

-- End a job whose clients have all left; it is forgotten.
local function abandon(id, job)
  if unfinished(job) then cancel(id, job, 'cancelled', constants.cancelled) end
  forget(id, job)
end
