-- Queues: streams of the jobs that wait or run, and sorted sets of those that wait again.

local function place(entry)
  return tonumber(entry:match('^%d+'))
end

-- Wake one worker that would claim a job of this checkpoint: of those that hear it, the one that
-- holds the fewest.
local function wake(checkpoint)
  repeat
    local worker = call('ZPOPMIN', names.listeners .. checkpoint)[1]
  until not worker or redis.call('PUBLISH', names.wake .. worker, checkpoint) > 0
end

local function close_if_empty(queue)
  local stream = names.queue .. queue
  if call('XLEN', stream) == 0 then
    redis.call('DEL', stream, names.returned .. queue, names.suspects .. queue)
    call('SREM', names.queues, queue)
  end
end

-- Acknowledge and delete an entry, and delete a stream that has no other.
local function drop_entry(queue, entry, id)
  local stream = names.queue .. queue
  call('XACK', stream, names.group, entry)
  call('XDEL', stream, entry)
  if id then
    call('ZREM', names.returned .. queue, id)
    call('ZREM', names.suspects .. queue, id)
  end
  close_if_empty(queue)
end

-- The number of the last entry that was delivered; nil for a stream that is not as it should be.
local function delivered(queue)
  local groups = redis.pcall('XINFO', 'GROUPS', names.queue .. queue)
  for _, group in ipairs(groups.err and {} or groups) do
    local facts = {}
    for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
    if facts.name == names.group then return facts['last-delivered-id'] end
  end
  want_mending()
end

-- The job of an entry, with its id; nil for an entry that no job has.
local function job_at(queue, entry)
  local id = entry[2] and entry[2][1] == 'job' and entry[2][2]
  local job = id and job_of(id) or {}
  if job.entry == entry[1] and job.queue == queue then return job, id end
end

-- Make a queue again of its unfinished jobs, [{id, job}, ...]. Returns the last place in it.
local function restack(queue, jobs)
  local stream, last = names.queue .. queue, 0
  redis.call('DEL', stream, names.returned .. queue, names.suspects .. queue)
  if #jobs == 0 then
    call('SREM', names.queues, queue)
    return last
  end
  table.sort(jobs, function(one, other) return place(one[2].entry) < place(other[2].entry) end)
  call('SADD', names.queues, queue)
  redis.call('XGROUP', 'CREATE', stream, names.group, '0', 'MKSTREAM')
  for _, both in ipairs(jobs) do
    local id, job = both[1], both[2]
    local at = math.max(place(job.entry), last + 1)
    if at ~= place(job.entry) then
      job.entry = whole(at) .. '-0'
      redis.call('HSET', names.job .. id, 'entry', job.entry)
    end
    redis.call('XADD', stream, job.entry, 'job', id)
    last = at
  end
  redis.call('XGROUP', 'SETID', stream, names.group, '$')
  for _, both in ipairs(jobs) do
    local id, job = both[1], both[2]
    if job.status == 'running' then
      redis.call('XCLAIM', stream, names.group, names.parked, 0, job.entry, 'FORCE', 'JUSTID')
    else
      local set = job.quarantined and names.suspects or names.returned
      redis.call('ZADD', set .. queue, place(job.entry), id)
    end
  end
  return last
end

-- The unfinished jobs among those of several lists of ids, by queue.
local function unfinished_jobs(lists)
  local seen, found = {}, {}
  for _, ids in ipairs(lists) do
    for _, id in ipairs(ids) do
      local job = not seen[id] and job_of(id) or {}
      seen[id] = true
      if unfinished(job) then
        found[job.queue] = found[job.queue] or {}
        table.insert(found[job.queue], {id, job})
      end
    end
  end
  return found
end

-- The next place in this shard. Where there are several shards, places are microseconds of Redis's
-- clock, so that lists of all are in order, and no two shards have the same.
local function next_place()
  local at = call('INCR', names.admitted)
  if constants.shards == 1 then return at end
  local time = redis.call('TIME')
  local now_us = 1000000 * time[1] + time[2]
  at = math.max(at - 1 + constants.shards, now_us - now_us % constants.shards + constants.shard)
  redis.call('SET', names.admitted, whole(at))
  return at
end

-- Give a job the next place in its queue. All streams share one count, so that the oldest job of
-- several streams has the least number. A stream that takes no such entry is made again.
local function enqueue(id, queue)
  local stream = names.queue .. queue
  if call('SADD', names.queues, queue) == 1 then
    redis.pcall('XGROUP', 'CREATE', stream, names.group, '0', 'MKSTREAM')
  end
  local at = next_place()
  local reply = at < 2 ^ 53 and redis.pcall('XADD', stream, whole(at) .. '-0', 'job', id)
  if not reply or reply.err then
    tell('queue', queue, reply and reply.err or 'the number of admitted jobs cannot be')
    local jobs = unfinished_jobs({call('ZRANGE', names.waiting, 0, -1),
      call('ZRANGE', names.running, 0, -1)})
    local last = call('ZREVRANGE', names.index, 0, 0)[1]
    local latest = last and fields_of(last).entry or '0'
    at = restack(queue, jobs[queue] or {})
    -- Places that are microseconds have sixteen digits; higher ones would leave no room for more.
    local highest = number(latest:match('^%d+'), 0)
    if highest < 2 ^ 52 then at = math.max(at, highest) end
    at = at + 1
    redis.call('SET', names.admitted, whole(at))
    if call('SADD', names.queues, queue) == 1 then
      redis.call('XGROUP', 'CREATE', stream, names.group, '0', 'MKSTREAM')
    end
    redis.call('XADD', stream, whole(at) .. '-0', 'job', id)
  end
  return at
end
