-- Functions for all scripts. `names` has the names of keys.py. Times are in seconds since the
-- epoch, or in milliseconds if their name ends in _ms.

-- Without memory, Redis refuses a script whose first write takes some. A script that only moves
-- jobs, or frees their memory in the end, therefore begins with a write that takes none.
local function regardless_of_memory()
  redis.call('DEL', names.nothing)
end

local function job_fields(id)
  local flat, job = redis.call('HGETALL', names.job .. id), {}
  for i = 1, #flat, 2 do job[flat[i]] = flat[i + 1] end
  return job
end

local function unfinished(job)
  return job.status == 'queued' or job.status == 'running'
end

local function held(id, epoch)
  local job = job_fields(id)
  return job.status == 'running' and job.epoch == epoch and job
end

local function place(entry)
  return tonumber(entry:match('^%d+'))
end

-- Acknowledge and delete an entry, and delete a stream that has no other.
local function drop_entry(queue, entry, id)
  local stream = names.queue .. queue
  redis.call('XACK', stream, names.group, entry)
  redis.call('XDEL', stream, entry)
  redis.call('ZREM', names.returned .. queue, id)
  redis.call('ZREM', names.suspects .. queue, id)
  if redis.call('XLEN', stream) == 0 then
    redis.call('DEL', stream, names.returned .. queue, names.suspects .. queue)
    redis.call('SREM', names.queues, queue)
  end
end

local function begin_waiting(id, queue, deadline, cost, now)
  if redis.call('ZCARD', names.waiting) == 0 then
    redis.call('DEL', names.drained)
    redis.call('RPUSH', names.drained, now .. ' 0')
    redis.call('SET', names.waiting_cost, 0)
  end
  redis.call('ZADD', names.waiting, deadline, id)
  redis.call('INCRBY', names.waiting_cost, cost)
  redis.call('PUBLISH', names.arrivals, queue)
end

local function stop_waiting(id, job)
  if redis.call('ZREM', names.waiting, id) == 1 and job.cost then
    redis.call('DECRBY', names.waiting_cost, job.cost)
  end
end

-- Put a running job back into its queue. Its progress, which watchers have seen, is no longer true.
local function wait_again(id, job, now)
  regardless_of_memory()
  redis.call('HSET', names.job .. id, 'status', 'queued')
  redis.call('HDEL', names.job .. id, 'progress', 'started_at')
  redis.call('HINCRBY', names.job .. id, 'told', 1)
  redis.call('DEL', names.progress_log .. id)
  local again = job.quarantined and names.suspects or names.returned
  redis.call('ZADD', again .. job.queue, place(job.entry), id)
  begin_waiting(id, job.queue, job.deadline, job.cost, now)
  redis.call('PUBLISH', names.news, id)
end

-- Drop the result of an ended job, and the idempotency key that leads to it.
local function expire(id)
  local job = job_fields(id)
  redis.call('DEL', names.task .. id, names.result .. id, names.progress_log .. id)
  redis.call('ZREM', names.ended, id)
  if job.scope and redis.call('HGET', names.idempotency .. job.scope, 'job') == id then
    redis.call('DEL', names.idempotency .. job.scope)
  end
  return job
end

local function forget(id)
  local job = expire(id)
  redis.call('DEL', names.job .. id)
  redis.call('ZREM', names.index, id)
  if job.owner then redis.call('ZREM', names.owned .. job.owner, id) end
end

-- Drop results that are too old or too many, but none before it was there for `unread` seconds, in
-- which those who wait read it. `keep` is {retained, retention, unread, remembered}, from Python.
local function expire_surplus(now, keep)
  local retained, retention, unread = tonumber(keep[1]), tonumber(keep[2]), tonumber(keep[3])
  local excess = redis.call('ZCARD', names.ended) - retained
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', names.ended, '-inf', now - unread, 'LIMIT', 0,
      math.max(0, excess))) do expire(id) end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', names.ended, '-inf',
      '(' .. (now - math.max(retention, unread)), 'LIMIT', 0, 100)) do expire(id) end
end

local function finish(id, job, status, outcome, now, keep)
  local kept = math.max(tonumber(keep[2]), tonumber(keep[3]))
  stop_waiting(id, job)
  drop_entry(job.queue, job.entry, id)
  redis.call('HSET', names.job .. id, 'status', status, 'finished_at', now)
  redis.call('SET', names.result .. id, outcome, 'PX', math.ceil(1000 * kept))
  redis.call('PEXPIRE', names.task .. id, math.ceil(1000 * kept))
  redis.call('PEXPIRE', names.job .. id, math.ceil(1000 * (kept + keep[4])))
  if job.scope then
    redis.call('PEXPIRE', names.idempotency .. job.scope, math.ceil(1000 * kept))
  end
  redis.call('ZADD', names.ended, now, id)
  expire_surplus(now, keep)
  redis.call('PUBLISH', names.ends, id)
end

local function cancel(id, job, outcome, now, keep)
  finish(id, job, 'cancelled', outcome, now, keep)
  if job.status == 'running' then redis.call('PUBLISH', names.cancelled, id) end
end

local function waits()
  local waiting = redis.call('ZCARD', names.waiting)
  return waiting, waiting > 0 and tonumber(redis.call('GET', names.waiting_cost)) or 0
end

-- Returns how many jobs were done since others began to wait, or recently, their cost, and since
-- when.
local function drained(now)
  local since, done, done_cost = now, -1, 0
  for _, line in ipairs(redis.call('LRANGE', names.drained, 0, -1)) do
    local at, spent = line:match('^(%S+) (%S+)$')
    if done < 0 then since = at else done_cost = done_cost + tonumber(spent) end
    done = done + 1
  end
  return done, done_cost, since
end

-- Returns {'full', jobs, cost, done, done_cost, since} if the queue cannot take a job of this cost.
local function overload(cost, now, capacity, capacity_cost)
  local waiting, waiting_cost = waits()
  if waiting < tonumber(capacity)
      and (waiting == 0 or waiting_cost + tonumber(cost) <= tonumber(capacity_cost)) then
    return nil
  end
  return {'full', waiting, waiting_cost, drained(now)}
end

-- Add a job to an index, and remove up to two whose keys have expired, to bound the index.
local function enlist(index, id, number, ttl_ms)
  for _, other in ipairs(redis.call('ZRANGE', index, 0, 1)) do
    if redis.call('EXISTS', names.job .. other) == 0 then redis.call('ZREM', index, other) end
  end
  redis.call('ZADD', index, number, id)
  if redis.call('PTTL', index) < tonumber(ttl_ms) then redis.call('PEXPIRE', index, ttl_ms) end
end

-- Queue a new job. `about` has the fields of its hash that never change, names and values in turn.
local function admit(id, queue, deadline, cost, now, ttl_ms, task, about)
  local stream = names.queue .. queue
  if redis.call('SADD', names.queues, queue) == 1 then
    redis.call('XGROUP', 'CREATE', stream, names.group, '0', 'MKSTREAM')
  end
  -- All streams share one count, so that the oldest job of several streams has the least number.
  local number = redis.call('INCR', names.admitted)
  local entry = number .. '-0'
  redis.call('XADD', stream, entry, 'job', id)
  redis.call('SET', names.task .. id, task, 'PX', ttl_ms)
  redis.call('HSET', names.job .. id, 'status', 'queued', 'queue', queue, 'entry', entry,
    'deadline', deadline, 'cost', cost, 'epoch', 0, 'told', 0, unpack(about))
  redis.call('PEXPIRE', names.job .. id, ttl_ms)
  enlist(names.index, id, number, ttl_ms)
  enlist(names.owned .. redis.call('HGET', names.job .. id, 'owner'), id, number, ttl_ms)
  begin_waiting(id, queue, deadline, cost, now)
end
