-- The jobs that wait: by deadline, what they cost, and whose they are. These bound admission.

-- `waiting` is how many jobs wait before this one, where that is known.
local function begin_waiting(id, job, waiting)
  if (waiting or call('ZCARD', names.waiting)) == 0 then
    redis.call('DEL', names.drained, names.owner_jobs, names.owner_cost)
    redis.call('RPUSH', names.drained, ARGV[1] .. ' 0')
    redis.call('SET', names.waiting_cost, 0)
  end
  call('ZADD', names.waiting, second(job.deadline), id)
  call('INCRBY', names.waiting_cost, job.cost)
  call('HINCRBY', names.owner_jobs, job.owner, 1)
  call('HINCRBY', names.owner_cost, job.owner, job.cost)
  wake(job.queue:match('^[^:]*'))
end

-- Returns how many jobs wait now.
local function stop_waiting(id, job)
  local removed, left = call('ZREM', names.waiting, id), call('ZCARD', names.waiting)
  if left == 0 then
    redis.call('DEL', names.waiting_cost, names.owner_jobs, names.owner_cost)
  elseif removed == 1 and job.cost then
    call('DECRBY', names.waiting_cost, job.cost)
    if call('HINCRBY', names.owner_jobs, job.owner, -1) > 0 then
      call('HINCRBY', names.owner_cost, job.owner, '-' .. job.cost)
    else
      call('HDEL', names.owner_jobs, job.owner)
      call('HDEL', names.owner_cost, job.owner)
    end
  end
  return left
end

local function waits()
  local waiting = call('ZCARD', names.waiting)
  return waiting, waiting > 0 and number(call('GET', names.waiting_cost), 0) or 0
end

-- Returns how many jobs were done since others began to wait, or recently, their cost, and since
-- when.
local function drained()
  local since, done, done_cost = ARGV[1], -1, 0
  for _, line in ipairs(call('LRANGE', names.drained, -constants.window, -1)) do
    local at, spent = line:match('^(%S+) (%S+)$')
    if is_time(at) and is_count(spent) then
      if done < 0 then since = at else done_cost = done_cost + tonumber(spent) end
      done = done + 1
    end
  end
  return math.max(0, done), done_cost, since
end

-- {'full', jobs, cost, done, done_cost, since, owner's jobs, owner's cost, owners} where too much
-- waits for a job of this cost, as `waits` has it. Past a bound an owner is let in with less than
-- its equal share.
local function overload(owner, cost, capacity, capacity_cost, waiting, waiting_cost)
  local many = waiting >= tonumber(capacity)
  local much = waiting > 0 and waiting_cost + cost > tonumber(capacity_cost)
  if not (many or much) then return nil end
  local own = number(call('HGET', names.owner_jobs, owner), 0)
  local own_cost = number(call('HGET', names.owner_cost, owner), 0)
  local owners = call('HLEN', names.owner_jobs) + (own == 0 and 1 or 0)
  local full = many and own >= capacity / owners
  local dear = much and own > 0 and own_cost + cost > capacity_cost / owners
  if not (full or dear) then return nil end
  local done, done_cost, since = drained()
  return {'full', waiting, waiting_cost, done, done_cost, since, own, own_cost, owners}
end

-- Owners take turns by the cost of their jobs: start-time fair queueing, as in turns.py. The jobs
-- of an owner that were held by dead workers take turns with its others.
local function turn_of(owner)
  local present = number(call('GET', names.turn), 0)
  return math.max(present, number(call('HGET', names.turns, owner), 0))
end

-- Let an owner whose turn begins at `start` have it, where so many jobs are left.
local function take_turn(owner, start, cost, left)
  if left == 0 then
    redis.call('DEL', names.turns, names.turn)
    return
  end
  if start > 2 ^ 53 then start = 0 end
  redis.call('SET', names.turn, whole(start))
  call('HSET', names.turns, owner, whole(start + cost))
end

-- What watchers have heard is no longer true.
local function wait_again(id, job)
  regardless_of_memory()
  redis.call('HSET', names.job .. id, 'status', 'queued')
  redis.call('HDEL', names.job .. id, 'progress', 'started_at')
  call('HINCRBY', names.job .. id, 'told', 1)
  redis.call('DEL', names.progress_log .. id)
  call('ZREM', names.running, id)
  local set = job.quarantined and names.suspects or names.returned
  call('ZADD', set .. job.queue, place(job.entry), id)
  begin_waiting(id, job)
  redis.call('PUBLISH', names.news, id)
end

-- Add a job to an index, and remove up to two whose keys have expired, to bound the index. Its own
-- life is prolonged by more than is needed, and so seldom.
local function enlist(index, id, at, ttl_ms)
  local oldest = call('ZRANGE', index, 0, 1)
  if oldest[1] and redis.call('EXISTS', names.job .. oldest[1],
      names.job .. (oldest[2] or oldest[1])) < 2 then
    for _, other in ipairs(oldest) do
      if redis.call('EXISTS', names.job .. other) == 0 then call('ZREM', index, other) end
    end
  end
  call('ZADD', index, at, id)
  if redis.call('PTTL', index) < tonumber(ttl_ms) then
    redis.call('PEXPIRE', index, whole(ttl_ms + constants.index_ms))
  end
end

-- Queue a new job. `job` has what its hash has: an owner, a queue, a deadline and a cost; `about`
-- has those and the fields that never change, names and values in turn. `waiting` as above.
local function admit(id, job, ttl_ms, task, about, waiting)
  local at = enqueue(id, job.queue)
  redis.call('SET', names.task .. id, task, 'PX', ttl_ms)
  redis.call('HSET', names.job .. id, 'status', 'queued', 'queue', job.queue,
    'entry', whole(at) .. '-0', 'deadline', job.deadline, 'cost', job.cost, 'epoch', 0, 'told', 0,
    unpack(about))
  redis.call('PEXPIRE', names.job .. id, ttl_ms)
  enlist(names.index, id, at, ttl_ms)
  enlist(names.owned .. job.owner, id, at, ttl_ms)
  begin_waiting(id, job, waiting)
end
