-- End what is past its deadline or attended by nobody, and take over the jobs of dead workers.
-- Returns how many jobs were redelivered, how many given up, how many nobody waited for, 1 if
-- something has to be mended, and from when until when, in milliseconds, jobs may have been lost with
-- the server that this one replaced, or nothing.
regardless_of_memory()
local lease_ms = constants.lease_ms

-- Queued jobs past their deadline, and what is at the end of the set: a member that is no queued
-- job and is never due would count for ever.
local due = call('ZRANGEBYSCORE', names.waiting, '-inf', ARGV[1], 'LIMIT', 0, 1000)
for _, id in ipairs(call('ZREVRANGE', names.waiting, 0, 9)) do due[#due + 1] = id end
for _, id in ipairs(due) do
  local job = job_of(id)
  if job.status ~= 'queued' then
    stop_waiting(id, job)
  elseif tonumber(job.deadline) <= now then
    finish(id, job, 'timed-out', constants.too_late)
  else
    call('ZADD', names.waiting, second(job.deadline), id)
  end
end

expire_surplus()

-- After a long gap between sweeps Redis was away, and no lease could be renewed: all leases begin
-- anew. Workers renew every third of a lease, so that a shorter gap uses up no lease.
local time_ms = redis_ms()
local gap = notice_takeover() or false
local swept = number(call('GET', names.swept))
redis.call('SET', names.swept, whole(time_ms))
redis.call('SET', names.born, whole(time_ms), 'NX')
local mend = redis.call('EXISTS', names.mend)
if not swept or time_ms - swept > lease_ms / 2 then
  redis.call('SET', names.grace, 1, 'PX', lease_ms)
end
if redis.call('EXISTS', names.grace) == 1 then
  if redis.call('PTTL', names.grace) > 0 then return {0, 0, 0, mend, gap} end
  set_aside(names.grace, 'it never ends')
end

local orphans = 0
for _, id in ipairs(call('ZRANGEBYSCORE', names.attended, '-inf', whole(time_ms),
    'LIMIT', 0, 100)) do
  call('ZREM', names.attended, id)
  local job = job_of(id)
  if unfinished(job) then orphans = orphans + 1 end
  if unfinished(job) or job.status and is_passing(job) then abandon(id, job) end
end

-- Running jobs that no worker has ended in time.
local before = whole(now - math.max(60, 2 * lease_ms / 1000))
for _, id in ipairs(call('ZRANGEBYSCORE', names.running, '-inf', before, 'LIMIT', 0, 100)) do
  local job = job_of(id)
  if job.status ~= 'running' then
    call('ZREM', names.running, id)
  elseif tonumber(job.deadline) <= tonumber(before) then
    cancel(id, job, 'timed-out', constants.unended)
  else
    call('ZADD', names.running, second(job.deadline), id)
  end
end

local function give_up(id, job)
  local letter = names.dead_letter .. id
  redis.call('DEL', letter)
  redis.call('HSET', letter, 'task', call('GET', names.task .. id) or '', 'reason', constants.fatal,
    'queue', job.queue, 'died_at', ARGV[1])
  redis.call('PEXPIRE', letter, constants.letter_ms)
  call('ZREMRANGEBYSCORE', names.dead_letters, '-inf', now - constants.letter_ms / 1000)
  call('ZADD', names.dead_letters, ARGV[1], id)
  finish(id, job, 'failed', constants.fatal)
end

local taken = {redelivered = 0, given_up = 0}

-- Take over a job that a dead worker held `together` with others. Half as many may be together the
-- next time, so that a job that kills workers is soon alone; only deaths alone count against it.
local function take_over(id, job, together)
  local before = company_of(job)
  if before == 1 and together == 1 then
    local crashes = call('HINCRBY', names.job .. id, 'crashes', 1)
    if crashes >= constants.most_crashes then
      give_up(id, job)
      taken.given_up = taken.given_up + 1
      return
    end
  end
  -- Where workers are killed by chance, few jobs are soon together, and none of them is at fault: a
  -- job that was not alone is alone after its fourth death at the earliest.
  local half = math.floor(math.min(together, before or together) / 2)
  local deaths = call('HINCRBY', names.job .. id, 'deaths', 1)
  local company = math.max(1, half, together > 1 and math.floor(16 / 2 ^ deaths) or 0)
  redis.call('HSET', names.job .. id, 'quarantined', 1, 'company', company)
  redis.call('HDEL', names.job .. id, 'kept_for')
  job.quarantined = 1
  wait_again(id, job)
  taken.redelivered = taken.redelivered + 1
end

-- The job of an entry that its holder left behind, if it still runs.
local function left_behind(queue, entry)
  local job, id = job_at(queue, entry)
  if not job or not unfinished(job) then
    drop_entry(queue, entry[1])
  elseif job.status == 'running' then
    return job, id
  end
end

-- Consumers by stream, and for how long each has done nothing on any stream. Every unfinished job
-- has an entry in one.
local consumers, idle, entries = {}, {}, 0
for _, queue in ipairs(call('SMEMBERS', names.queues)) do
  entries = entries + call('XLEN', names.queue .. queue)
  local found = redis.pcall('XINFO', 'CONSUMERS', names.queue .. queue, names.group)
  if found.err then
    mend = 1
  else
    consumers[queue] = {}
    for _, flat in ipairs(found) do
      local consumer = {}
      for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
      table.insert(consumers[queue], consumer)
      idle[consumer.name] = math.min(idle[consumer.name] or consumer.idle, consumer.idle)
    end
  end
end

if entries < call('ZCARD', names.waiting) + call('ZCARD', names.running) then mend = 1 end

-- A worker renews all of its leases at once, so that one that has done nothing for a lease is dead.
local left = {}
for queue, several in pairs(consumers) do
  local stream = names.queue .. queue
  for _, consumer in ipairs(several) do
    if redis.call('EXISTS', stream) == 0 then break end
    local dead = consumer.name ~= names.parked and idle[consumer.name] > lease_ms
    if dead and consumer.pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, names.group, consumer.name)
    elseif dead then
      local jobs = left[consumer.name] or {}
      left[consumer.name] = jobs
      for _, pending in ipairs(redis.call('XPENDING', stream, names.group, '-', '+',
          consumer.pending, consumer.name)) do
        redis.call('XCLAIM', stream, names.group, names.parked, 0, pending[1], 'JUSTID')
        local entry = redis.call('XRANGE', stream, pending[1], pending[1])[1] or {pending[1]}
        local job, id = left_behind(queue, entry)
        if job then table.insert(jobs, {id, job}) end
      end
    end
  end
end
for _, jobs in pairs(left) do
  for _, both in ipairs(jobs) do take_over(both[1], both[2], #jobs) end
end

-- A claim whose holder lives and does not know of it: its answer was lost on the way. A worker that
-- died may have renewed its claims up to a third of a lease before it was last heard of, so that they
-- are older than its silence: those that are up to half a lease too old are left to a later sweep.
local unknown_ms = whole(1.5 * lease_ms)
for queue in pairs(consumers) do
  local stream, cursor = names.queue .. queue, '0-0'
  if redis.call('EXISTS', stream) == 1 then
    repeat
      local found = redis.call('XAUTOCLAIM', stream, names.group, names.parked, unknown_ms, cursor,
        'COUNT', 100)
      cursor = found[1]
      for _, entry in ipairs(found[2]) do
        local job, id
        if entry then job, id = left_behind(queue, entry) end
        if job then take_over(id, job, company_of(job) or constants.most_together) end
      end
    until cursor == '0-0' or redis.call('EXISTS', stream) == 0
  end
end

-- A worker that was woken may not have come.
if call('ZCARD', names.waiting) > 0 then
  local woken = {}
  for queue in pairs(consumers) do
    local checkpoint = queue:match('^[^:]*')
    if not woken[checkpoint] then wake(checkpoint) end
    woken[checkpoint] = true
  end
end
return {taken.redelivered, taken.given_up, orphans, mend, gap}
