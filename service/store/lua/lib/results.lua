-- The results that are kept, and the memory of jobs that have ended.

-- Whether the result of a job is for those alone who wait for it now: no key asks for it later.
local function is_passing(job)
  return job.waiters and not job.scope
end

-- Drop the result of an ended job, and the idempotency key that leads to it.
local function expire(id, job)
  redis.call('DEL', names.task .. id, names.result .. id, names.progress_log .. id)
  local kept = call('HGET', names.kept, id)
  if kept or not is_passing(job) then call('ZREM', names.ended, id) end
  if kept then
    call('HDEL', names.kept, id)
    local bytes, owner = kept:match('^(%d+) (.*)$')
    if is_count(bytes) then
      call('DECRBY', names.kept_bytes, bytes)
      call('ZREM', names.owner_ended .. owner, id)
      if call('HINCRBY', names.owner_bytes, owner, '-' .. bytes) <= 0 then
        call('HDEL', names.owner_bytes, owner)
      end
    end
  end
  if job.scope and call('HGET', names.idempotency .. job.scope, 'job') == id then
    redis.call('DEL', names.idempotency .. job.scope)
  end
end

local function forget(id, job)
  expire(id, job)
  redis.call('DEL', names.job .. id)
  call('ZREM', names.index, id)
  call('ZREM', names.attended, id)
  if job.owner then call('ZREM', names.owned .. job.owner, id) end
end

-- Results that are too old go. So do those past a bound, once they have had `unread` seconds for
-- whoever waits to read them: of an owner that is given its oldest, and of all results those of the
-- owner that has most. At most 100 at once.
local function expire_surplus(owner)
  local unread = '(' .. now - constants.unread_s
  for _, id in ipairs(call('ZRANGEBYSCORE', names.ended, '-inf',
      '(' .. now - constants.kept_s, 'LIMIT', 0, 100)) do expire(id, fields_of(id)) end

  local function drop_oldest_of(one)
    local ended = names.owner_ended .. one
    local id = call('ZRANGEBYSCORE', ended, '-inf', unread, 'LIMIT', 0, 1)[1]
    if not id then return false end
    expire(id, fields_of(id))
    call('ZREM', ended, id)
    return true
  end

  local excess = owner and call('ZCARD', names.owner_ended .. owner) - constants.most_of_one or 0
  for _ = 1, math.min(100, excess) do
    if not drop_oldest_of(owner) then break end
  end
  if number(call('GET', names.kept_bytes), 0) <= constants.most_bytes then return end

  -- Of all owners the bytes of their results, the most first.
  local function sizes()
    local found, sum, flat = {}, 0, call('HGETALL', names.owner_bytes)
    for i = 1, #flat, 2 do
      found[#found + 1] = {owner = flat[i], bytes = number(flat[i + 1], 0)}
      sum = sum + number(flat[i + 1], 0)
    end
    table.sort(found, function(one, other) return one.bytes > other.bytes end)
    return found, sum
  end

  -- Count again what all results take, where the sums do not agree.
  local function recount()
    local sum, flat = 0, call('HGETALL', names.kept)
    redis.call('DEL', names.owner_bytes)
    for i = 1, #flat, 2 do
      local bytes, whose = flat[i + 1]:match('^(%d+) (.*)$')
      if is_count(bytes) then
        sum = sum + bytes
        redis.call('HINCRBY', names.owner_bytes, whose, bytes)
      else
        tell('field', names.kept .. ' ' .. flat[i], 'no number of bytes')
        redis.call('HDEL', names.kept, flat[i])
      end
    end
    redis.call('SET', names.kept_bytes, whole(sum))
  end

  -- Of the owner whose results take most room, or else of the one with the next most.
  local function drop_oldest_of_largest()
    for _, size in ipairs((sizes())) do
      if drop_oldest_of(size.owner) then return true end
    end
    return false
  end

  local _, sum = sizes()
  if sum ~= number(call('GET', names.kept_bytes)) then recount() end
  for _ = 1, 100 do
    if number(call('GET', names.kept_bytes), 0) <= constants.most_bytes then break end
    if not drop_oldest_of_largest() then break end
  end
end

-- Count the result among those that are kept of its owner, who may have so many.
local function keep_result(id, job, outcome)
  -- A job and its indexes take about as much beside its task and result.
  local bytes = 2000 + #outcome + call('STRLEN', names.task .. id)
  call('HSET', names.kept, id, bytes .. ' ' .. job.owner)
  call('INCRBY', names.kept_bytes, bytes)
  call('HINCRBY', names.owner_bytes, job.owner, bytes)
  call('ZADD', names.owner_ended .. job.owner, ARGV[1], id)
  expire_surplus(job.owner)
end

-- The job that a request with this key joins, or false; and whether the key was used for another.
local function joined(scope, digest)
  local known = scope ~= '' and call('HGET', names.idempotency .. scope, 'job')
  if not known or redis.call('EXISTS', names.task .. known) == 0 then return false, false end
  local job = job_of(known)
  if not job.status then return false, false end
  if call('HGET', names.idempotency .. scope, 'digest') ~= digest then return false, true end
  -- A job that was cancelled or ran out of time has no answer: it is begun anew.
  return job.status ~= 'cancelled' and job.status ~= 'timed-out' and known, false
end
