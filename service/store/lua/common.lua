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

local function begin_waiting(id, owner, queue, deadline, cost, now)
  if redis.call('ZCARD', names.waiting) == 0 then
    redis.call('DEL', names.drained, names.owner_jobs, names.owner_cost)
    redis.call('RPUSH', names.drained, now .. ' 0')
    redis.call('SET', names.waiting_cost, 0)
  end
  redis.call('ZADD', names.waiting, deadline, id)
  redis.call('INCRBY', names.waiting_cost, cost)
  redis.call('HINCRBY', names.owner_jobs, owner, 1)
  redis.call('HINCRBY', names.owner_cost, owner, cost)
  redis.call('PUBLISH', names.arrivals, queue)
end

local function stop_waiting(id, job)
  if redis.call('ZREM', names.waiting, id) == 1 and job.cost then
    redis.call('DECRBY', names.waiting_cost, job.cost)
    if redis.call('HINCRBY', names.owner_jobs, job.owner, -1) > 0 then
      redis.call('HINCRBY', names.owner_cost, job.owner, -job.cost)
    else
      redis.call('HDEL', names.owner_jobs, job.owner)
      redis.call('HDEL', names.owner_cost, job.owner)
    end
  end
end

-- Owners take turns by the cost of their jobs: start-time fair queueing, as in turns.py.
local function turn_of(owner)
  local present = tonumber(redis.call('GET', names.turn) or 0)
  return math.max(present, tonumber(redis.call('HGET', names.turns, owner) or 0))
end

local function take_turn(owner, cost)
  if redis.call('ZCARD', names.waiting) == 0 then
    redis.call('DEL', names.turns, names.turn)
    return
  end
  local start = turn_of(owner)
  redis.call('SET', names.turn, string.format('%.0f', start))
  redis.call('HSET', names.turns, owner, string.format('%.0f', start + cost))
end

-- What watchers have heard is no longer true.
local function wait_again(id, job, now)
  regardless_of_memory()
  redis.call('HSET', names.job .. id, 'status', 'queued')
  redis.call('HDEL', names.job .. id, 'progress', 'started_at')
  redis.call('HINCRBY', names.job .. id, 'told', 1)
  redis.call('DEL', names.progress_log .. id)
  local again = job.quarantined and names.suspects or names.returned
  redis.call('ZADD', again .. job.queue, place(job.entry), id)
  begin_waiting(id, job.owner, job.queue, job.deadline, job.cost, now)
  redis.call('PUBLISH', names.news, id)
end

-- Drop the result of an ended job, and the idempotency key that leads to it.
local function expire(id)
  local job = job_fields(id)
  redis.call('DEL', names.task .. id, names.result .. id, names.progress_log .. id)
  redis.call('ZREM', names.ended, id)
  local kept = redis.call('HGET', names.kept, id)
  if kept then
    local bytes, owner = kept:match('^(%d+) (.*)$')
    redis.call('HDEL', names.kept, id)
    redis.call('DECRBY', names.kept_bytes, bytes)
    redis.call('ZREM', names.owner_ended .. owner, id)
    if redis.call('HINCRBY', names.owner_bytes, owner, -bytes) <= 0 then
      redis.call('HDEL', names.owner_bytes, owner)
    end
  end
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

-- The oldest result of an owner that ended before a time.
local function oldest_of(owner, before)
  return redis.call('ZRANGEBYSCORE', names.owner_ended .. owner, '-inf', '(' .. before,
    'LIMIT', 0, 1)[1]
end

-- The oldest result of the owner whose results take most room, if it ended before a time; else of
-- the owner with the next most.
local function oldest_of_largest(before)
  local sizes, flat = {}, redis.call('HGETALL', names.owner_bytes)
  for i = 1, #flat, 2 do sizes[#sizes + 1] = {owner = flat[i], bytes = tonumber(flat[i + 1])} end
  table.sort(sizes, function(one, other) return one.bytes > other.bytes end)
  for _, size in ipairs(sizes) do
    local id = oldest_of(size.owner, before)
    if id then return id end
  end
end

-- `keep`: [bytes of all results, retention, unread, remembered, results of one owner], from Python.
-- Results that are too old go, and those past a bound once they have had `unread` seconds for
-- whoever waits to read them: of all results those of the owner that has most. At most 100 at once.
local function expire_surplus(now, keep)
  local most_bytes, retention, unread = tonumber(keep[1]), tonumber(keep[2]), tonumber(keep[3])
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', names.ended, '-inf',
      '(' .. (now - math.max(retention, unread)), 'LIMIT', 0, 100)) do expire(id) end
  for _ = 1, 100 do
    if tonumber(redis.call('GET', names.kept_bytes) or 0) <= most_bytes then break end
    local id = oldest_of_largest(now - unread)
    if not id then break end
    expire(id)
  end
end

-- Count the result among those that are kept of its owner, who may have so many.
local function keep_result(id, job, outcome, now, keep)
  -- A job and its indexes take about as much beside its task and result.
  local bytes = 2000 + #outcome + redis.call('STRLEN', names.task .. id)
  local ended = names.owner_ended .. job.owner
  redis.call('HSET', names.kept, id, bytes .. ' ' .. job.owner)
  redis.call('INCRBY', names.kept_bytes, bytes)
  redis.call('HINCRBY', names.owner_bytes, job.owner, bytes)
  redis.call('ZADD', ended, now, id)
  local excess = math.min(100, redis.call('ZCARD', ended) - keep[5])
  for _ = 1, excess do
    local oldest = oldest_of(job.owner, now - keep[3])
    if not oldest then break end
    expire(oldest)
  end
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
  keep_result(id, job, outcome, now, keep)
  if job.callback_url then redis.call('ZADD', names.calls, now, id) end
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

-- {'full', jobs, cost, done, done_cost, since, owner's jobs, owner's cost, owners} where too much
-- waits for a job of this cost. Past a bound an owner is let in with less than its equal share.
local function overload(owner, cost, now, capacity, capacity_cost)
  local waiting, waiting_cost = waits()
  local own = tonumber(redis.call('HGET', names.owner_jobs, owner) or 0)
  local own_cost = tonumber(redis.call('HGET', names.owner_cost, owner) or 0)
  local owners = redis.call('HLEN', names.owner_jobs) + (own == 0 and 1 or 0)
  local full = waiting >= tonumber(capacity) and own >= capacity / owners
  local dear = waiting > 0 and waiting_cost + cost > tonumber(capacity_cost)
    and own > 0 and own_cost + cost > capacity_cost / owners
  if not (full or dear) then return nil end
  local done, done_cost, since = drained(now)
  return {'full', waiting, waiting_cost, done, done_cost, since, own, own_cost, owners}
end

-- The job that a request with this key joins, or false; and whether the key was used for another.
local function joined(scope, digest)
  local known = scope ~= '' and redis.call('HGET', names.idempotency .. scope, 'job')
  if not known or redis.call('EXISTS', names.task .. known) == 0 then return false, false end
  local status = job_fields(known).status
  if not status then return false, false end
  if redis.call('HGET', names.idempotency .. scope, 'digest') ~= digest then return false, true end
  -- A job that was cancelled or ran out of time has no answer: it is begun anew.
  return status ~= 'cancelled' and status ~= 'timed-out' and known, false
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
  local owner = redis.call('HGET', names.job .. id, 'owner')
  enlist(names.owned .. owner, id, number, ttl_ms)
  begin_waiting(id, owner, queue, deadline, cost, now)
end
