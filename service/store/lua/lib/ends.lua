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

local function failure(id, detail)
  local document = cmsgpack.unpack(constants.failure)
  document.outcome.detail, document.outcome.job = detail, id
  return cmsgpack.pack(document)
end

-- Fail a job one of whose fields cannot be read, and give these a value that can be.
function condemn(id, job, field)
  local found = (job[field] or 'missing'):sub(1, 40):gsub('[^%w%p ]', '?')
  local why = field .. ' is ' .. found
  tell('job', id, why)
  local defaults = {
    {'status', 'running'}, {'deadline', ARGV[1]}, {'created_at', ARGV[1]}, {'cost', '0'},
    {'epoch', '0'}, {'entry', '0-0'}, {'owner', ''}, {'checkpoint', 'unknown'}, {'priority', '0'},
  }
  local known = job.queue
  for _ = 1, #defaults + 1 do
    field = faulty_field(job)
    if not field then break end
    for _, default in ipairs(defaults) do
      if default[1] == field then job[field] = default[2] end
    end
    if field == 'queue' then job.queue = queue_of(job) end
    redis.call('HSET', names.job .. id, field, job[field])
  end
  -- The bounds on what waits were counted with the values that are lost.
  want_mending()
  if known and known ~= job.queue then drop_entry(known, job.entry, id) end
  if unfinished(job) then
    cancel(id, job, 'failed', failure(id, 'the record of this job cannot be read: ' .. why))
    job.status = 'failed'
  end
  return job
end
