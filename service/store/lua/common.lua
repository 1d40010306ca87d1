-- What all scripts share. `names` holds keys.py. Times are seconds since the epoch unless in _ms.

local function standing(id)
  local flat, job = redis.call('HGETALL', names.job .. id), {}
  for i = 1, #flat, 2 do job[flat[i]] = flat[i + 1] end
  return job
end

local function held(id, epoch)
  local job = standing(id)
  return job.status == 'running' and job.epoch == epoch and job
end

local function place(entry)
  return tonumber(entry:match('^%d+'))
end

-- An entry is acknowledged and deleted at once; a stream with none left goes too.
local function drop_entry(queue, entry, id)
  local stream = names.queue .. queue
  redis.call('XACK', stream, names.group, entry)
  redis.call('XDEL', stream, entry)
  redis.call('ZREM', names.returned .. queue, id)
  if redis.call('XLEN', stream) == 0 then
    redis.call('DEL', stream, names.returned .. queue)
    redis.call('SREM', names.queues, queue)
  end
end

local function begin_waiting(id, queue, deadline, now)
  if redis.call('ZCARD', names.waiting) == 0 then
    redis.call('DEL', names.drained)
    redis.call('RPUSH', names.drained, now)
  end
  redis.call('ZADD', names.waiting, deadline, id)
  redis.call('PUBLISH', names.arrivals, queue)
end

local function wait_again(id, job, now)
  redis.call('HSET', names.job .. id, 'status', 'queued')
  redis.call('HDEL', names.job .. id, 'progress', 'started_at')
  redis.call('ZADD', names.returned .. job.queue, place(job.entry), id)
  begin_waiting(id, job.queue, job.deadline, now)
end

local function forget(id)
  redis.call('DEL', names.job .. id, names.task .. id, names.result .. id)
  redis.call('ZREM', names.ended, id)
end

-- `keep`: [retained, retention, unread], from Python. Past `retained` only those go that have had
-- `unread` seconds for whoever waits to read them.
local function finish(id, job, status, outcome, now, keep)
  local retained, retention, unread = tonumber(keep[1]), tonumber(keep[2]), tonumber(keep[3])
  local ttl_ms = math.ceil(1000 * math.max(retention, unread))
  redis.call('ZREM', names.waiting, id)
  drop_entry(job.queue, job.entry, id)
  redis.call('HSET', names.job .. id, 'status', status, 'finished_at', now)
  redis.call('SET', names.result .. id, outcome, 'PX', ttl_ms)
  redis.call('PEXPIRE', names.job .. id, ttl_ms)
  redis.call('PEXPIRE', names.task .. id, ttl_ms)
  redis.call('ZREMRANGEBYSCORE', names.ended, '-inf', tonumber(now) - math.max(retention, unread))
  redis.call('ZADD', names.ended, now, id)
  local excess = redis.call('ZCARD', names.ended) - retained
  if excess > 0 then
    local old = tonumber(now) - unread
    local oldest = redis.call('ZRANGEBYSCORE', names.ended, '-inf', old, 'LIMIT', 0, excess)
    for _, other in ipairs(oldest) do forget(other) end
  end
  redis.call('PUBLISH', names.ends, id)
end
