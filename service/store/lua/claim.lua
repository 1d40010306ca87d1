-- Claim the first job of these checkpoints, also one that is to run alone if `alone` is '1'.
-- Returns {id, epoch, alone, task}, or false.
local consumer, now, late, alone = unpack(ARGV, 1, 4)
local keep = {unpack(ARGV, 5, 9)}
local wanted, queues = {}, {}
for i = 10, #ARGV do wanted[ARGV[i]] = true end
for _, name in ipairs(redis.call('SMEMBERS', names.queues)) do
  local checkpoint, priority, owner = name:match('^([^:]*):(-?%d+):?(.*)$')
  if wanted[checkpoint] then
    queues[#queues + 1] = {name = name, priority = tonumber(priority), owner = owner}
  end
end

local function delivered(stream)
  local group = redis.call('XINFO', 'GROUPS', stream)[1]
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then return group[i + 1] end
  end
end

-- Set the place of a queue's first job, and its id and set if it was delivered before.
local function look(queue)
  queue.place, queue.again = nil, nil
  local stream = names.queue .. queue.name
  if redis.call('EXISTS', stream) == 0 then return end
  local fresh = redis.call('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', 1)[1]
  if fresh then queue.place = place(fresh[1]) end
  for _, set in ipairs({names.returned, alone == '1' and names.suspects or nil}) do
    local back = redis.call('ZRANGE', set .. queue.name, 0, 0, 'WITHSCORES')
    if back[1] and not (queue.place and queue.place < tonumber(back[2])) then
      queue.place, queue.again, queue.set = tonumber(back[2]), back[1], set
    end
  end
end

local function take(queue)
  local stream = names.queue .. queue.name
  if queue.again then
    local entry = string.format('%.0f-0', queue.place)
    redis.call('ZREM', queue.set .. queue.name, queue.again)
    redis.call('XCLAIM', stream, names.group, consumer, 0, entry, 'FORCE', 'JUSTID')
    return queue.again, entry
  end
  local read = redis.call('XREADGROUP', 'GROUP', names.group, consumer, 'COUNT', 1,
    'STREAMS', stream, '>')
  local entry = read[1][2][1]
  return entry[2][2], entry[1]
end

local function sooner(queue, other)
  return not other or queue.priority > other.priority
    or queue.priority == other.priority and queue.place < other.place
end

while true do
  -- Each owner's first job, by priority and age; then the owner whose turn it is.
  local firsts, best = {}, nil
  for _, queue in ipairs(queues) do
    look(queue)
    if queue.place and sooner(queue, firsts[queue.owner]) then firsts[queue.owner] = queue end
  end
  for owner, queue in pairs(firsts) do
    queue.turn = turn_of(owner)
    if not best or queue.turn < best.turn
        or queue.turn == best.turn and queue.place < best.place then
      best = queue
    end
  end
  if not best then return false end
  local id, entry = take(best)
  local job = job_fields(id)
  if job.status ~= 'queued' then
    drop_entry(best.name, entry, id)
  elseif tonumber(job.deadline) <= tonumber(now) then
    finish(id, job, 'timed-out', late, now, keep)
  elseif job.quarantined and alone == '0' then
    redis.call('ZADD', names.suspects .. best.name, place(entry), id)
  else
    stop_waiting(id, job)
    take_turn(best.owner, job.cost)
    redis.call('HSET', names.job .. id, 'status', 'running', 'started_at', now)
    local epoch = redis.call('HINCRBY', names.job .. id, 'epoch', 1)
    return {id, epoch, job.quarantined and 1 or 0, redis.call('GET', names.task .. id)}
  end
end
