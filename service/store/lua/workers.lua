-- Returns the announced workers, {{name, announcement}, ...}; names without one are forgotten.
local found = {}
for _, name in ipairs(call('ZRANGE', names.workers, 0, -1)) do
  local text = redis.call('MGET', names.worker .. name)[1]
  if text then found[#found + 1] = {name, text} else call('ZREM', names.workers, name) end
end
return found
