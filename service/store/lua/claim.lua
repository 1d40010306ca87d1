-- Claim a job of these checkpoints for a worker that holds `held` jobs, and with one more as many as
-- it may if `full` is '1'. A job that was held by a worker that died, a suspect, is kept for a worker
-- with less company. `patience` is for how many seconds it may be kept for this worker, or 0.
-- Returns {listens, id, epoch, company, task, deadline, cost, checkpoint, kind}, with company 0 for no
-- suspect, and listens 1 where no other job waits, and the worker will be woken for the next;
-- {0, '', company} where a suspect is kept until this worker holds fewer than so many jobs; or false:
-- the worker will be woken.
local consumer, held, full, patience = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local wanted, queues = {}, {}
for i = 6, #ARGV do wanted[ARGV[i]] = true end
for _, name in ipairs(call('SMEMBERS', names.queues)) do
  local checkpoint, priority, owner = name:match('^([^:]*):(-?%d+):?(.*)$')
  if wanted[checkpoint] then
    queues[#queues + 1] =
      {name = name, checkpoint = checkpoint, priority = tonumber(priority), owner = owner}
  end
end

-- The first job of a queue that no dead worker held, where some may wait `again`.
local function first_of(queue, again)
  local stream = names.queue .. queue.name
  local last = delivered(queue.name)
  if not last then return nil end
  local fresh = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
  local back = again and call('ZRANGE', names.returned .. queue.name, 0, 0, 'WITHSCORES') or {}
  local first = fresh and {place = place(fresh[1])}
  if back[1] and not (first and first.place < tonumber(back[2])) then
    first = {place = tonumber(back[2]), id = back[1], set = names.returned}
  end
  if first then first.class = queue.owner end
  return first
end

-- The first suspect of a queue that fits this worker; else the first that may be kept for it.
local function suspect_of(queue)
  local kept
  local flat = call('ZRANGE', names.suspects .. queue.name, 0, 31, 'WITHSCORES')
  for i = 1, #flat, 2 do
    local known = call('HMGET', names.job .. flat[i], 'company', 'kept_for')
    local company = math.max(1, number(known[1], 1))
    local by, until_s = (known[2] or ''):match('^(%S+) (%S+)$')
    local suspect = {place = tonumber(flat[i + 1]), id = flat[i], set = names.suspects,
      company = company, class = '\0' .. queue.owner, mine = by == consumer}
    if held < company then return suspect end
    suspect.waits = true
    if not kept and patience > 0 and (suspect.mine or number(until_s, 0) <= now) then
      kept = suspect
    end
  end
  return kept
end

local function take(job)
  local queue = job.queue.name
  local stream = names.queue .. queue
  if job.id then
    call('ZREM', job.set .. queue, job.id)
    local known = job_of(job.id)
    if known.status ~= 'queued' or known.queue ~= queue then return nil end
    local claimed = redis.pcall('XCLAIM', stream, names.group, consumer, 0, known.entry, 'FORCE',
      'JUSTID')
    if claimed.err then want_mending() end
    return job.id, known
  end
  local read = redis.call('XREADGROUP', 'GROUP', names.group, consumer, 'COUNT', 1,
    'STREAMS', stream, '>')
  local entry = read[1][2][1]
  local known, id = job_at(queue, entry)
  if known and known.status == 'queued' then return id, known end
  if not known then tell('queue', queue, 'entry ' .. entry[1] .. ' is of no job in it') end
  drop_entry(queue, entry[1])
end

local function sooner(job, other)
  return not other or job.queue.priority > other.queue.priority
    or job.queue.priority == other.queue.priority and job.place < other.place
end

-- The first job of each owner, by priority and age; then that of the owner whose turn it is. Where a
-- suspect that was kept for this worker fits now, it goes first.
local function next_job()
  local firsts, best = {}, nil
  for _, queue in ipairs(queues) do
    local again = redis.call('EXISTS', names.returned .. queue.name, names.suspects .. queue.name) > 0
    for _, job in ipairs({first_of(queue, again) or false, again and suspect_of(queue)}) do
      if job then
        job.queue = queue
        if job.mine and not job.waits then
          job.turn = turn_of(job.class)
          return job
        end
        if sooner(job, firsts[job.class]) then firsts[job.class] = job end
      end
    end
  end
  for class, job in pairs(firsts) do
    job.turn = turn_of(class)
    if not best or job.turn < best.turn or job.turn == best.turn and job.place < best.place then
      best = job
    end
  end
  return best
end

local function listen(holding)
  for checkpoint in pairs(wanted) do
    call('ZADD', names.listeners .. checkpoint, holding, consumer)
  end
end

local function listen_no_more()
  for checkpoint in pairs(wanted) do call('ZREM', names.listeners .. checkpoint, consumer) end
end

while true do
  local chosen = next_job()
  if not chosen then
    listen(held)
    return false
  end
  if chosen.waits then
    listen_no_more()
    redis.call('HSET', names.job .. chosen.id, 'kept_for', consumer .. ' ' .. now + patience)
    return {0, '', chosen.company}
  end
  local id, job = take(chosen)
  local company = id and company_of(job)
  if id and tonumber(job.deadline) <= now then
    finish(id, job, 'timed-out', constants.too_late)
  elseif company and held >= company then
    -- A dead letter that is tried again, and was not delivered before.
    call('ZADD', names.suspects .. job.queue, place(job.entry), id)
  elseif id then
    local left = stop_waiting(id, job)
    take_turn(chosen.class, chosen.turn, job.cost, left)
    local epoch = tonumber(job.epoch) + 1
    redis.call('HSET', names.job .. id, 'status', 'running', 'started_at', ARGV[1], 'epoch',
      whole(epoch))
    call('ZADD', names.running, second(job.deadline), id)
    local listens = left == 0 and not full and not company
    if full then listen_no_more() elseif listens then listen(held + 1) end
    return {listens and 1 or 0, id, epoch, company or 0, call('GET', names.task .. id), job.deadline, job.cost,
      chosen.queue.checkpoint, job.kind or ''}
  end
end
