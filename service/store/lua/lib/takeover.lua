-- Another server with the same data: a replica that took over, or one that was started again.

-- Take in that the server is another than at the last sweep. What the one before did after that
-- sweep may be lost. This gap is returned, {from when, until when}, and kept for as long as a job
-- that is unknown may have been lost in it. A user who may not ask for the server's id learns
-- nothing of that.
local function notice_takeover()
  local facts = redis.pcall('INFO', 'server')
  local id = type(facts) == 'string' and facts:match('run_id:(%x+)')
  local before = id and call('GET', names.server)
  if not id or before == id then return end
  redis.call('SET', names.server, id)
  local swept = number(call('GET', names.swept))
  if not (before and swept) then return end
  local ended = redis_ms()
  local from_ms = whole(math.max(0, math.min(swept, ended) - constants.lag_ms))
  local to_ms = whole(ended)
  call('ZREMRANGEBYSCORE', names.gaps, '-inf', whole(ended - constants.gap_ms))
  call('ZADD', names.gaps, to_ms, from_ms .. ' ' .. to_ms)
  return {from_ms, to_ms}
end

-- The gaps that ended at a time or later, {{from when, until when}, ...}.
local function gaps_since(time_ms)
  local found = {}
  for _, gap in ipairs(call('ZRANGEBYSCORE', names.gaps, time_ms, '+inf')) do
    local from_ms, to_ms = gap:match('^(%d+) (%d+)$')
    if from_ms then found[#found + 1] = {tonumber(from_ms), tonumber(to_ms)} end
  end
  return found
end
