-- Another server with the same data: a replica that took over, or one that was started again.

-- Take in that the server is another than at the last sweep. What the one before did after that
-- sweep may be lost, and this is kept in `gap`: from when, and until when. A user who may not ask
-- for the server's id learns nothing of that.
local function notice_takeover()
  local facts = redis.pcall('INFO', 'server')
  local id = type(facts) == 'string' and facts:match('run_id:(%x+)')
  local before = id and call('GET', names.server)
  if not id or before == id then return end
  redis.call('SET', names.server, id)
  local swept = number(call('GET', names.swept))
  if before and swept then
    redis.call('SET', names.gap, whole(swept - constants.lag_ms) .. ' ' .. whole(redis_ms()))
  end
end
